# SPDX-License-Identifier: MIT
# The papers around the code agree with it.
#     cmake -DROOT=<repository> -P papers.cmake

cmake_minimum_required(VERSION 3.25)

# One version, that of version.hpp.
file(READ "${ROOT}/include/tweedie/version.hpp" header)
set(numbers "")
foreach(part IN ITEMS major minor patch)
    string(REGEX MATCH "version_${part} = ([0-9]+);" match "${header}")
    list(APPEND numbers "${CMAKE_MATCH_1}")
endforeach()
list(JOIN numbers "." version)
string(REGEX MATCH "version_string = \"([^\"]*)\"" match "${header}")
if(NOT CMAKE_MATCH_1 STREQUAL version)
    message(SEND_ERROR "version.hpp: the string is ${CMAKE_MATCH_1}, the numbers are ${version}")
endif()

file(READ "${ROOT}/CITATION.cff" citation)
if(NOT citation MATCHES "\nversion: ${version}\n")
    message(SEND_ERROR "CITATION.cff: the version is not ${version}")
endif()

file(READ "${ROOT}/cmake/packaging/vcpkg/tweedie/vcpkg.json" port)
string(JSON port_version GET "${port}" version-semver)
if(NOT port_version STREQUAL version)
    message(SEND_ERROR "vcpkg.json: the version is ${port_version}, not ${version}")
endif()

file(READ "${ROOT}/CHANGELOG.md" changelog)
string(REGEX MATCH "\n## ([^\n]*)" match "${changelog}")
if(NOT CMAKE_MATCH_1 MATCHES "${version}")
    message(SEND_ERROR "CHANGELOG.md: the newest entry is '${CMAKE_MATCH_1}', the version ${version}")
endif()

# The README's first program is the first example.
if(NOT EXISTS "${ROOT}/README.md")
    message(FATAL_ERROR "README.md is missing")
endif()
file(READ "${ROOT}/README.md" readme)
string(FIND "${readme}" "```cpp\n" begin)
if(begin EQUAL -1)
    message(FATAL_ERROR "README.md has no C++ block")
endif()
math(EXPR begin "${begin} + 7")
string(SUBSTRING "${readme}" ${begin} -1 block)
string(FIND "${block}" "```" end)
string(SUBSTRING "${block}" 0 ${end} block)

file(READ "${ROOT}/examples/01_hello.cpp" example)
string(REGEX REPLACE "^(//[^\n]*\n|\n)+" "" example_code "${example}")
if(NOT block STREQUAL example AND NOT block STREQUAL example_code)
    message(SEND_ERROR "README.md: the first C++ block is not examples/01_hello.cpp")
endif()

# What is private stays out of what users copy.
file(GLOB_RECURSE texts "${ROOT}/examples/*.cpp" "${ROOT}/examples/*.hpp" "${ROOT}/README.md")
foreach(text IN LISTS texts)
    file(READ "${text}" content)
    if(content MATCHES "detail::|tweedie/detail/")
        message(SEND_ERROR "${text} uses tweedie::detail")
    endif()
endforeach()
