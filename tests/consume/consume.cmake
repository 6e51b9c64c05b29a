# SPDX-License-Identifier: MIT
# Uses tweedie as a stranger does, in a clean folder.
#     cmake -DWAY=<add_subdirectory|find_package|pkg_config> -DROOT=<repository> -DWORK=<folder> ... -P consume.cmake

cmake_minimum_required(VERSION 3.25)

function(run)
    execute_process(COMMAND ${ARGN} OUTPUT_VARIABLE output ERROR_VARIABLE output RESULT_VARIABLE result)
    message("${output}")
    if(NOT result EQUAL 0)
        list(JOIN ARGN " " command)
        message(FATAL_ERROR "${command}: ${result}")
    endif()
endfunction()

set(toolchain -G "${GENERATOR}" "-DCMAKE_MAKE_PROGRAM=${MAKE_PROGRAM}" "-DCMAKE_CXX_COMPILER=${COMPILER}"
    "-DEigen3_DIR=${EIGEN}"
)
set(consumer "${ROOT}/tests/consume")
file(REMOVE_RECURSE "${WORK}")
file(MAKE_DIRECTORY "${WORK}")

if(WAY STREQUAL "add_subdirectory")
    run("${CMAKE_COMMAND}" -S "${consumer}/add_subdirectory" -B "${WORK}/build" ${toolchain} "-DTWEEDIE_ROOT=${ROOT}")
    run("${CMAKE_COMMAND}" --build "${WORK}/build")
    run("${WORK}/build/stranger")
    run("${CMAKE_COMMAND}" --install "${WORK}/build" --prefix "${WORK}/prefix")
    file(GLOB_RECURSE installed RELATIVE "${WORK}/prefix" "${WORK}/prefix/*")
    if(NOT installed STREQUAL "bin/stranger")
        message(FATAL_ERROR "a guest must not install itself: ${installed}")
    endif()
    run("${CMAKE_COMMAND}" "${WORK}/build" -DTWEEDIE_INSTALL=ON)
    run("${CMAKE_COMMAND}" --install "${WORK}/build" --prefix "${WORK}/prefix")
    return()
endif()

# Installed, then moved: nothing may depend on the place or on the source tree.
run("${CMAKE_COMMAND}" -S "${ROOT}" -B "${WORK}/tweedie" ${toolchain})
run("${CMAKE_COMMAND}" --install "${WORK}/tweedie" --prefix "${WORK}/first")
file(RENAME "${WORK}/first" "${WORK}/prefix")

if(WAY STREQUAL "find_package")
    file(READ "${ROOT}/include/tweedie/version.hpp" version)
    string(REGEX MATCH "version_string = \"([0-9]+\\.[0-9]+)" version "${version}")
    run("${CMAKE_COMMAND}" -S "${consumer}/find_package" -B "${WORK}/build" ${toolchain} "-DTWEEDIE_ROOT=${ROOT}"
        "-DTWEEDIE_VERSION=${CMAKE_MATCH_1}" "-DCMAKE_PREFIX_PATH=${WORK}/prefix"
    )
    run("${CMAKE_COMMAND}" --build "${WORK}/build")
    run("${WORK}/build/stranger")
elseif(WAY STREQUAL "pkg_config")
    set(ENV{PKG_CONFIG_PATH} "${WORK}/prefix/share/pkgconfig:$ENV{PKG_CONFIG_PATH}")
    execute_process(
        COMMAND "${PKG_CONFIG}" --cflags tweedie
        OUTPUT_VARIABLE flags
        OUTPUT_STRIP_TRAILING_WHITESPACE
        COMMAND_ERROR_IS_FATAL ANY
    )
    separate_arguments(flags UNIX_COMMAND "${flags}")
    run("${COMPILER}" -std=c++20 ${flags} "${consumer}/main.cpp" -o "${WORK}/stranger")
    run("${WORK}/stranger")
else()
    message(FATAL_ERROR "WAY: '${WAY}' is none of add_subdirectory, find_package, pkg_config")
endif()
