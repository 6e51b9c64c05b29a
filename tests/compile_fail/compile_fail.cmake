# SPDX-License-Identifier: MIT
# Compiles FILE twice: as it is, which must fail with the words it expects, and with TWEEDIE_COMPILE_OK, which must not.

cmake_minimum_required(VERSION 3.25)

set(command "${COMPILER}" -std=c++20 ${FLAGS} -fsyntax-only "-I${INCLUDE}")
foreach(directory IN LISTS SYSTEM_INCLUDE)
    list(APPEND command -isystem "${directory}")
endforeach()

file(STRINGS "${FILE}" expected REGEX "^// EXPECT: ")
if(NOT expected)
    message(FATAL_ERROR "${FILE} has no line `// EXPECT: <regular expression>`")
endif()

execute_process(
    COMMAND ${command} -DTWEEDIE_COMPILE_OK "${FILE}"
    RESULT_VARIABLE result
    OUTPUT_VARIABLE output
    ERROR_VARIABLE output
)
if(NOT result EQUAL 0)
    message(FATAL_ERROR "does not compile although TWEEDIE_COMPILE_OK is defined:\n${output}")
endif()

execute_process(COMMAND ${command} "${FILE}" RESULT_VARIABLE result OUTPUT_VARIABLE output ERROR_VARIABLE output)
if(result EQUAL 0)
    message(FATAL_ERROR "compiles, but should not")
endif()
foreach(line IN LISTS expected)
    string(REGEX REPLACE "^// EXPECT: " "" expression "${line}")
    if(NOT output MATCHES "${expression}")
        message(FATAL_ERROR "the error does not match '${expression}':\n${output}")
    endif()
endforeach()
