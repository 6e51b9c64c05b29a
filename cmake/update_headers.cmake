# SPDX-License-Identifier: MIT
# cmake -P cmake/update_headers.cmake: rewrites cmake/headers.cmake, and the includes of the umbrella tweedie.hpp, from
# the files under include/.

cmake_minimum_required(VERSION 3.25)

cmake_path(GET CMAKE_CURRENT_LIST_DIR PARENT_PATH root)
file(GLOB_RECURSE headers RELATIVE "${root}" "${root}/include/*.hpp" "${root}/include/*.inc")
list(SORT headers)

# Headers of libraries that only their user has, and files that are parts of one header.
set(dependent_headers ${headers})
list(FILTER dependent_headers INCLUDE REGEX "/tensor/(torch|xtensor)\\.hpp$|/distributed/(mpi|optimizer)\\.hpp$|\\.inc$")
if(dependent_headers)
    list(REMOVE_ITEM headers ${dependent_headers})
endif()

# The umbrella: every public header that needs no library beyond the standard one.
file(READ "${root}/include/tweedie/tweedie.hpp" umbrella)
string(FIND "${umbrella}" "#include <" first_include)
string(SUBSTRING "${umbrella}" 0 ${first_include} preface)
set(includes "")
foreach(header IN LISTS headers)
    string(REGEX REPLACE "^include/" "" name "${header}")
    if(name MATCHES "^tweedie/(detail|analytic|verify|tune|distributed)/|^tweedie/tweedie.hpp$")
        continue()
    endif()
    file(STRINGS "${root}/${header}" others REGEX "^#include <(Eigen|xtensor|torch)/")
    if(NOT others)
        string(APPEND includes "#include <${name}>\n")
    endif()
endforeach()
file(WRITE "${root}/include/tweedie/tweedie.hpp" "${preface}${includes}")

list(JOIN headers "\n    " headers)
list(JOIN dependent_headers "\n    " dependent_headers)
file(
    WRITE "${root}/cmake/headers.cmake"
    "# SPDX-License-Identifier: MIT\n"
    "# Every file that is installed. Written by `cmake -P cmake/update_headers.cmake`.\n\n"
    "set(\n    tweedie_headers\n    ${headers}\n)\n\n"
    "# These do not compile alone: they need a library that only their user has, or are a part of another header.\n"
    "set(\n    tweedie_dependent_headers\n    ${dependent_headers}\n)\n"
)
