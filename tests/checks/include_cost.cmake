# SPDX-License-Identifier: MIT
# What an include costs, in preprocessed lines that are neither blank nor a line marker.
#     cmake -DROOT=<repository> -DCOMPILER=<compiler> -DEIGEN=<include directories> -P include_cost.cmake

cmake_minimum_required(VERSION 3.25)

function(count_lines header result)
    set(command "${COMPILER}" -std=c++20 "-I${ROOT}/include")
    foreach(directory IN LISTS EIGEN)
        list(APPEND command -isystem "${directory}")
    endforeach()
    execute_process(
        COMMAND ${command} -E -x c++ -include "${header}" /dev/null
        OUTPUT_VARIABLE text
        ERROR_VARIABLE error
        RESULT_VARIABLE status
    )
    if(NOT status EQUAL 0)
        message(FATAL_ERROR "<${header}> cannot be preprocessed:\n${error}")
    endif()
    string(REGEX REPLACE "(^|\n)#[^\n]*" "\n" text "\n${text}\n")
    string(REGEX REPLACE "[^ \t\n][^\n]*" "x" text "${text}")
    string(REGEX REPLACE "[ \t\n]+" "" text "${text}")
    string(LENGTH "${text}" count)
    message(STATUS "<${header}>: ${count} lines")
    set(${result} ${count} PARENT_SCOPE)
endfunction()

count_lines(tweedie/run/sample.hpp sample)
if(sample GREATER 60000)
    message(SEND_ERROR "<tweedie/run/sample.hpp> has ${sample} lines; the bar is 60000")
endif()

count_lines(Eigen/Dense eigen)
count_lines(tweedie/tweedie.hpp umbrella)
math(EXPR bar "${eigen} * 3 / 2")
if(umbrella GREATER bar)
    message(SEND_ERROR "<tweedie/tweedie.hpp> has ${umbrella} lines; the bar is 1.5 times <Eigen/Dense>, ${bar}")
endif()
