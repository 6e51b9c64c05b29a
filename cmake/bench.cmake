# SPDX-License-Identifier: MIT
# cmake -P cmake/bench.cmake: installs what is missing, builds and runs the benchmarks, prints one table.
#
#     cmake -DFILTER=affine -P cmake/bench.cmake          only the benchmarks whose name matches
#     cmake -DREPETITIONS=15 -DMIN_TIME=0.2 -P ...        more and longer runs (defaults 11, 0.05 s)
#
# Repetitions of all entries of a program are interleaved at random, so that a busy moment of the machine falls on
# ours and on the baseline alike; the table shows medians of CPU time.

cmake_minimum_required(VERSION 3.25)
include("${CMAKE_CURRENT_LIST_DIR}/dependencies.cmake")
include("${CMAKE_CURRENT_LIST_DIR}/build.cmake")

set(repetitions 11)
set(min_time 0.05)
set(filter ".")
if(DEFINED REPETITIONS)
    set(repetitions "${REPETITIONS}")
endif()
if(DEFINED MIN_TIME)
    set(min_time "${MIN_TIME}")
endif()
if(DEFINED FILTER)
    set(filter "${FILTER}")
endif()

tweedie_require(compiler generator eigen json xtensor benchmark)

set(folder "${TWEEDIE_ROOT}/build/bench")
tweedie_configure(release "${folder}" -DTWEEDIE_BUILD_TESTS=OFF -DTWEEDIE_BUILD_EXAMPLES=OFF)
tweedie_build("${folder}" all)

file(STRINGS "${folder}/benchmarks/programs.txt" programs)
set(results "")
foreach(program IN LISTS programs)
    cmake_path(GET program FILENAME name)
    message(STATUS "${name}")
    set(result "${folder}/benchmarks/${name}.json")
    execute_process(
        COMMAND
            "${program}" --benchmark_format=json "--benchmark_filter=${filter}" "--benchmark_repetitions=${repetitions}"
            "--benchmark_min_time=${min_time}" --benchmark_report_aggregates_only=true
            --benchmark_enable_random_interleaving=true
        OUTPUT_FILE "${result}"
        ERROR_VARIABLE error
        RESULT_VARIABLE status
    )
    if(NOT status EQUAL 0)
        message(FATAL_ERROR "${name} failed (${status}):\n${error}")
    endif()
    list(APPEND results "${result}")
endforeach()
tweedie_run("${folder}/benchmarks/tweedie.benchmark_table" ${results})
