# SPDX-License-Identifier: MIT
# Stops the configuration when the lists of cmake/headers.cmake and the headers on disk differ.

cmake_path(GET CMAKE_CURRENT_LIST_DIR PARENT_PATH root)
file(GLOB_RECURSE headers_on_disk RELATIVE "${root}" "${root}/include/*.hpp" "${root}/include/*.inc")
set(headers_listed ${tweedie_headers} ${tweedie_dependent_headers})

set(headers_unlisted ${headers_on_disk})
list(REMOVE_ITEM headers_unlisted ${headers_listed})
set(headers_missing ${headers_listed})
list(REMOVE_ITEM headers_missing ${headers_on_disk})

if(headers_unlisted OR headers_missing)
    list(JOIN headers_unlisted "\n  " headers_unlisted)
    list(JOIN headers_missing "\n  " headers_missing)
    message(
        FATAL_ERROR
        "cmake/headers.cmake and include/ differ; `cmake -P cmake/update_headers.cmake` rewrites the list.\n"
        "On disk, not listed:\n  ${headers_unlisted}\n"
        "Listed, not on disk:\n  ${headers_missing}"
    )
endif()
