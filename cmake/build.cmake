# SPDX-License-Identifier: MIT
# Configure and build steps of the scripts test.cmake, demo.cmake and bench.cmake.

cmake_path(GET CMAKE_CURRENT_LIST_DIR PARENT_PATH TWEEDIE_ROOT)
cmake_host_system_information(RESULT TWEEDIE_JOBS QUERY NUMBER_OF_LOGICAL_CORES)

# Runs a command in the repository's root with its output on the terminal; stops when it fails.
function(tweedie_run)
    execute_process(COMMAND ${ARGN} WORKING_DIRECTORY "${TWEEDIE_ROOT}" RESULT_VARIABLE result)
    if(NOT result EQUAL 0)
        list(JOIN ARGN " " command)
        message(FATAL_ERROR "failed (${result}): ${command}")
    endif()
endfunction()

# tweedie_configure(<preset> <folder> [<argument>...]): a preset with Ninja where it is found, with make elsewhere, and
# with the compiler that CXX names. Fresh when one of them changes, which CMake does not allow otherwise.
function(tweedie_configure preset folder)
    find_program(ninja NAMES ninja ninja-build NO_CACHE)
    set(generator "Unix Makefiles")
    if(ninja)
        set(generator Ninja)
    endif()
    find_program(compiler NAMES "$ENV{CXX}" NO_CACHE)
    if(compiler)
        list(APPEND ARGN "-DCMAKE_CXX_COMPILER=${compiler}")
    endif()
    set(made_with "")
    set(make_with "${generator} ${compiler}")
    if(EXISTS "${folder}/made_with.txt")
        file(READ "${folder}/made_with.txt" made_with)
    endif()
    if(NOT made_with STREQUAL make_with)
        list(APPEND ARGN --fresh)
    endif()
    tweedie_run("${CMAKE_COMMAND}" --preset "${preset}" -B "${folder}" -G "${generator}" ${ARGN})
    file(WRITE "${folder}/made_with.txt" "${make_with}")
endfunction()

# tweedie_build(<folder> <target>...)
function(tweedie_build folder)
    tweedie_run("${CMAKE_COMMAND}" --build "${folder}" --parallel "${TWEEDIE_JOBS}" --target ${ARGN})
endfunction()
