# SPDX-License-Identifier: MIT
# Runs the vcpkg port with stand-ins for vcpkg's functions and looks at the tree that it makes.
#     cmake -DROOT=<repository> -DWORK=<folder> -DEIGEN=<Eigen3_DIR> -DGENERATOR=... -DCOMPILER=... -P vcpkg.cmake

cmake_minimum_required(VERSION 3.25)

set(PORT tweedie)
set(port_dir "${ROOT}/cmake/packaging/vcpkg/${PORT}")
set(CURRENT_PACKAGES_DIR "${WORK}/packages")
file(REMOVE_RECURSE "${WORK}")

file(READ "${port_dir}/vcpkg.json" port)
string(JSON name GET "${port}" name)
string(JSON VERSION GET "${port}" version-semver)
string(JSON license GET "${port}" license)
string(JSON dependency GET "${port}" dependencies 0)
if(NOT "${name} ${license} ${dependency}" STREQUAL "tweedie MIT eigen3")
    message(SEND_ERROR "vcpkg.json: ${name} ${license} ${dependency}")
endif()

function(run)
    execute_process(COMMAND ${ARGN} OUTPUT_VARIABLE output ERROR_VARIABLE output RESULT_VARIABLE result)
    if(NOT result EQUAL 0)
        message(FATAL_ERROR "${output}")
    endif()
endfunction()

function(vcpkg_from_github)
    cmake_parse_arguments(PARSE_ARGV 0 arg "" "OUT_SOURCE_PATH;REPO;REF;SHA512;HEAD_REF" "")
    if(NOT arg_REF STREQUAL "v${VERSION}" OR NOT arg_SHA512 MATCHES "^[0-9a-f]+$" OR arg_UNPARSED_ARGUMENTS)
        message(SEND_ERROR "vcpkg_from_github: ${ARGN}")
    endif()
    set(${arg_OUT_SOURCE_PATH} "${ROOT}" PARENT_SCOPE)
endfunction()

function(vcpkg_cmake_configure)
    cmake_parse_arguments(PARSE_ARGV 0 arg "" "SOURCE_PATH" "OPTIONS")
    run("${CMAKE_COMMAND}" -S "${arg_SOURCE_PATH}" -B "${WORK}/build" -G "${GENERATOR}" "-DEigen3_DIR=${EIGEN}"
        "-DCMAKE_INSTALL_PREFIX=${CURRENT_PACKAGES_DIR}" "-DCMAKE_CXX_COMPILER=${COMPILER}" -DCMAKE_BUILD_TYPE=Release ${arg_OPTIONS}
    )
endfunction()

function(vcpkg_cmake_install)
    run("${CMAKE_COMMAND}" --install "${WORK}/build")
endfunction()

function(vcpkg_cmake_config_fixup)
    cmake_parse_arguments(PARSE_ARGV 0 arg "" "CONFIG_PATH;PACKAGE_NAME" "")
    file(GLOB files "${CURRENT_PACKAGES_DIR}/${arg_CONFIG_PATH}/*")
    file(COPY ${files} DESTINATION "${CURRENT_PACKAGES_DIR}/share/${PORT}")
    file(REMOVE_RECURSE "${CURRENT_PACKAGES_DIR}/share/cmake")
endfunction()

function(vcpkg_fixup_pkgconfig)
endfunction()

function(vcpkg_install_copyright)
    cmake_parse_arguments(PARSE_ARGV 0 arg "" "" "FILE_LIST")
    file(COPY_FILE "${arg_FILE_LIST}" "${CURRENT_PACKAGES_DIR}/share/${PORT}/copyright")
endfunction()

include("${port_dir}/portfile.cmake")

file(GLOB_RECURSE expected RELATIVE "${ROOT}" "${ROOT}/include/*")
list(
    APPEND expected
    share/pkgconfig/tweedie.pc
    share/tweedie/copyright
    share/tweedie/tweedie-config-version.cmake
    share/tweedie/tweedie-config.cmake
    share/tweedie/tweedie-targets.cmake
    share/tweedie/usage
)
list(SORT expected)
file(GLOB_RECURSE found LIST_DIRECTORIES false RELATIVE "${CURRENT_PACKAGES_DIR}" "${CURRENT_PACKAGES_DIR}/*")
list(SORT found)
if(NOT found STREQUAL expected)
    message(SEND_ERROR "the port installs\n  ${found}\nnot\n  ${expected}")
endif()

file(STRINGS "${port_dir}/usage" usage)
string(JOIN " " usage ${usage})
if(NOT usage MATCHES "find_package\\(tweedie CONFIG REQUIRED\\).*tweedie::tweedie\\)")
    message(SEND_ERROR "usage: ${usage}")
endif()
