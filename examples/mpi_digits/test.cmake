# SPDX-License-Identifier: MIT
# mpi_digits keeps its promises: the picture of one process whoever makes it, an end for all when one rank fails, and
# the same bytes after a kill.
#     cmake -DDIGITS=<program> -DMPI_DIGITS=<program> "-DRUN=mpirun;-np" -DWORK=<folder> -P test.cmake

cmake_minimum_required(VERSION 3.25)
file(REMOVE_RECURSE "${WORK}")
file(MAKE_DIRECTORY "${WORK}")
set(what --per-class 3 --steps 5)

function(require_same file other)
    execute_process(COMMAND "${CMAKE_COMMAND}" -E compare_files "${file}" "${other}" RESULT_VARIABLE differ)
    if(NOT differ EQUAL 0)
        message(FATAL_ERROR "${file} is not ${other}")
    endif()
endfunction()

execute_process(COMMAND "${DIGITS}" ${what} --out "${WORK}/alone.png" COMMAND_ERROR_IS_FATAL ANY OUTPUT_QUIET ERROR_QUIET)

set(statistics "")
foreach(ranks IN ITEMS 1 2 4)
    execute_process(
        COMMAND ${RUN} ${ranks} "${MPI_DIGITS}" ${what} --out "${WORK}/${ranks}.png"
        COMMAND_ERROR_IS_FATAL ANY
        OUTPUT_VARIABLE said
    )
    require_same("${WORK}/${ranks}.png" "${WORK}/alone.png")
    string(REGEX MATCH "mean ink [^\n]*" line "${said}")
    list(APPEND statistics "${line}")
endforeach()
list(REMOVE_DUPLICATES statistics)
list(LENGTH statistics different)
if(NOT different EQUAL 1)
    message(FATAL_ERROR "the statistics depend on the number of ranks: ${statistics}")
endif()

execute_process(
    COMMAND ${RUN} 4 "${MPI_DIGITS}" ${what} --out "${WORK}/never.png" --fail-on-rank 2
    RESULT_VARIABLE failed
    OUTPUT_QUIET
    ERROR_VARIABLE said
    TIMEOUT 60
)
foreach(rank IN ITEMS 0 1 2 3)
    if(NOT said MATCHES "mpi_digits, rank ${rank}: rank 2: asked to fail")
        message(FATAL_ERROR "rank ${rank} did not end with the error of rank 2 (${failed}):\n${said}")
    endif()
endforeach()
if(failed EQUAL 0 OR EXISTS "${WORK}/never.png")
    message(FATAL_ERROR "a job with a rank that fails must fail")
endif()

execute_process(
    COMMAND ${RUN} 4 "${MPI_DIGITS}" ${what} --out "${WORK}/never.png" --fail-alone 2
    RESULT_VARIABLE failed
    OUTPUT_QUIET
    ERROR_VARIABLE said
    TIMEOUT 60
)
if(NOT said MATCHES "mpi_digits, rank 2 alone: asked to fail alone")
    message(FATAL_ERROR "rank 2 did not end all (${failed}):\n${said}")
endif()
if(failed EQUAL 0 OR failed MATCHES "timeout" OR EXISTS "${WORK}/never.png")
    message(FATAL_ERROR "a job with a rank that fails alone must fail")
endif()

foreach(ranks IN ITEMS 1 2)
    set(checkpoint "${WORK}/${ranks}.blocks")
    execute_process(
        COMMAND ${RUN} ${ranks} "${MPI_DIGITS}" ${what} --out "${WORK}/killed${ranks}.png" --checkpoint "${checkpoint}"
                --kill-after 3
        RESULT_VARIABLE failed
        OUTPUT_QUIET
        ERROR_QUIET
        TIMEOUT 60
    )
    if(failed EQUAL 0 OR EXISTS "${WORK}/killed${ranks}.png" OR NOT EXISTS "${checkpoint}")
        message(FATAL_ERROR "the job was to be killed in the middle")
    endif()
    execute_process(
        COMMAND ${RUN} 4 "${MPI_DIGITS}" ${what} --out "${WORK}/killed${ranks}.png" --checkpoint "${checkpoint}"
        COMMAND_ERROR_IS_FATAL ANY
        OUTPUT_VARIABLE said
    )
    require_same("${WORK}/killed${ranks}.png" "${WORK}/alone.png")
    string(REGEX MATCH "mean ink [^\n]*" line "${said}")
    if(NOT line STREQUAL statistics)
        message(FATAL_ERROR "the statistics depend on the kill: ${line}, not ${statistics}")
    endif()
endforeach()
