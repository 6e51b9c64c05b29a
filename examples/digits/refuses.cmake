# SPDX-License-Identifier: MIT
# A bad value ends in exit code 2 and one line on stderr, whatever the option.

foreach(option IN ITEMS --steps=0 --steps=x --solver=nobody --seed=-1 --per-class=0 --nonsense)
    string(REPLACE "=" ";" arguments "${option}")
    execute_process(COMMAND "${PROGRAM}" ${arguments} RESULT_VARIABLE result OUTPUT_VARIABLE out ERROR_VARIABLE err)
    if(NOT result EQUAL 2 OR NOT out STREQUAL "" OR NOT err MATCHES "^[^\n]+\n$")
        message(SEND_ERROR "${arguments}: exit code ${result}, stdout '${out}', stderr '${err}'")
    endif()
endforeach()
