# SPDX-License-Identifier: MIT
# cmake -P cmake/test.cmake: installs what is missing, builds with the strictest warnings as errors, runs every test.
#
#     cmake -DPRESET=asan -P cmake/test.cmake     another preset of CMakePresets.json (default: dev; clang where CXX is one)
#     CXX=g++-13 cmake -P cmake/test.cmake        another compiler

cmake_minimum_required(VERSION 3.25)
include("${CMAKE_CURRENT_LIST_DIR}/dependencies.cmake")
include("${CMAKE_CURRENT_LIST_DIR}/build.cmake")

if(NOT DEFINED PRESET)
    set(PRESET dev)
    if("$ENV{CXX}" MATCHES "clang")
        set(PRESET clang)
    endif()
endif()

tweedie_require(
    compiler generator eigen catch2 json xtensor benchmark stb pkg_config
    OPTIONAL zlib fashion_mnist mpi
)

set(folder "${TWEEDIE_ROOT}/build/${PRESET}")
tweedie_configure("${PRESET}" "${folder}")
tweedie_build("${folder}" all all_verify_interface_header_sets)
tweedie_run(
    "${CMAKE_CTEST_COMMAND}" --test-dir "${folder}" --output-on-failure --no-tests=error --parallel "${TWEEDIE_JOBS}"
)
