# SPDX-License-Identifier: MIT
# cmake -P cmake/few_steps.cmake: installs what is missing, measures every combination of solver, noise levels and
# teleportation at 5 to 20 network calls, prints the table and leaves the picture out/few_steps.png.
#
#     cmake -DARGUMENTS="--mixtures FILE" -P cmake/few_steps.cmake     other mixtures; more arguments likewise

cmake_minimum_required(VERSION 3.25)
include("${CMAKE_CURRENT_LIST_DIR}/dependencies.cmake")
include("${CMAKE_CURRENT_LIST_DIR}/build.cmake")

tweedie_require(compiler generator eigen json stb OPTIONAL zlib fashion_mnist)

set(folder "${TWEEDIE_ROOT}/build/demo")
tweedie_configure(release "${folder}" -DTWEEDIE_BUILD_TESTS=OFF -DTWEEDIE_BUILD_BENCHMARKS=OFF)
tweedie_build("${folder}" tweedie.example.few_steps)

file(MAKE_DIRECTORY "${TWEEDIE_ROOT}/out")
separate_arguments(arguments UNIX_COMMAND "${ARGUMENTS}")
tweedie_run("${folder}/examples/tweedie.example.few_steps" --out out/few_steps.png ${arguments})
