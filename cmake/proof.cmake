# SPDX-License-Identifier: MIT
# cmake -P cmake/proof.cmake: installs what is missing, measures every solver, writes docs/proof.md.

cmake_minimum_required(VERSION 3.25)
include("${CMAKE_CURRENT_LIST_DIR}/dependencies.cmake")
include("${CMAKE_CURRENT_LIST_DIR}/build.cmake")

tweedie_require(compiler generator eigen json)

set(folder "${TWEEDIE_ROOT}/build/demo")
tweedie_configure(release "${folder}" -DTWEEDIE_BUILD_TESTS=OFF -DTWEEDIE_BUILD_BENCHMARKS=OFF)
tweedie_build("${folder}" tweedie.example.proof)
tweedie_run("${folder}/examples/tweedie.example.proof" --out docs/proof.md)
