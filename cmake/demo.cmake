# SPDX-License-Identifier: MIT
# cmake -P cmake/demo.cmake: installs what is missing, builds the demonstration, runs it with the exact denoiser of
# digits and with a trained network; leaves out/digits.png and out/digits_mlp.png.

cmake_minimum_required(VERSION 3.25)
include("${CMAKE_CURRENT_LIST_DIR}/dependencies.cmake")
include("${CMAKE_CURRENT_LIST_DIR}/build.cmake")

tweedie_require(compiler generator eigen stb)

set(folder "${TWEEDIE_ROOT}/build/demo")
tweedie_configure(release "${folder}" -DTWEEDIE_BUILD_TESTS=OFF -DTWEEDIE_BUILD_BENCHMARKS=OFF)
tweedie_build("${folder}" tweedie.example.digits)

file(MAKE_DIRECTORY "${TWEEDIE_ROOT}/out")
tweedie_run("${folder}/examples/tweedie.example.digits" --out out/digits.png)
tweedie_run("${folder}/examples/tweedie.example.digits" --model mlp --out out/digits_mlp.png)
foreach(picture IN ITEMS digits.png digits_mlp.png)
    if(NOT EXISTS "${TWEEDIE_ROOT}/out/${picture}")
        message(FATAL_ERROR "the demonstration left no out/${picture}")
    endif()
endforeach()
