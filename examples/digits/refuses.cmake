# SPDX-License-Identifier: MIT
# A bad value ends in exit code 2 and one line on stderr, whatever the option.

foreach(arguments IN ITEMS
    "--steps;0" "--steps;-3" "--steps;x" "--steps;1e9" "--steps;99999999999999999999" "--steps;10.5" "--steps;" "--steps"
    "--solver;nobody" "--solver;" "--seed;-1" "--seed;18446744073709551616" "--per-class;0" "--per-class;101"
    "--model;gpt" "--guidance;-1" "--guidance;nan" "--guidance;x" "--nonsense" "digits.png" "-s" "--steps=0" "--stepsize=3"
    "--data;/nowhere/at/all" "--data;${CMAKE_CURRENT_LIST_FILE}" "--out;${CMAKE_CURRENT_LIST_DIR}"
    "--out;${CMAKE_CURRENT_LIST_FILE}/digits.png"
)
    execute_process(COMMAND "${PROGRAM}" ${arguments} RESULT_VARIABLE result OUTPUT_VARIABLE out ERROR_VARIABLE err)
    if(NOT result EQUAL 2 OR NOT out STREQUAL "" OR NOT err MATCHES "^[^\n]+\n$")
        message(SEND_ERROR "${arguments}: exit code ${result}, stdout '${out}', stderr '${err}'")
    endif()
endforeach()
