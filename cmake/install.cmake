# SPDX-License-Identifier: MIT
# Install rules: the headers, the CMake package and the pkg-config file, all independent of the architecture.

include(CMakePackageConfigHelpers)
include(GNUInstallDirs)

set(tweedie_package_dir "${CMAKE_INSTALL_DATADIR}/cmake/tweedie")
set(tweedie_pkgconfig_dir "${CMAKE_INSTALL_DATADIR}/pkgconfig")

install(TARGETS tweedie tweedie_mpi EXPORT tweedie-targets FILE_SET HEADERS FILE_SET dependent)
install(EXPORT tweedie-targets NAMESPACE tweedie:: DESTINATION "${tweedie_package_dir}")

configure_package_config_file(
    "${CMAKE_CURRENT_LIST_DIR}/tweedie-config.cmake.in"
    "${PROJECT_BINARY_DIR}/tweedie-config.cmake"
    INSTALL_DESTINATION "${tweedie_package_dir}"
    NO_SET_AND_CHECK_MACRO
    NO_CHECK_REQUIRED_COMPONENTS_MACRO
)
write_basic_package_version_file(
    "${PROJECT_BINARY_DIR}/tweedie-config-version.cmake"
    COMPATIBILITY SameMinorVersion
    ARCH_INDEPENDENT
)
install(
    FILES "${PROJECT_BINARY_DIR}/tweedie-config.cmake" "${PROJECT_BINARY_DIR}/tweedie-config-version.cmake"
    DESTINATION "${tweedie_package_dir}"
)

# Relative to the file itself, so that an installed tree may be moved.
cmake_path(IS_ABSOLUTE tweedie_pkgconfig_dir pkgconfig_dir_is_absolute)
if(pkgconfig_dir_is_absolute)
    set(pkgconfig_prefix "${CMAKE_INSTALL_PREFIX}")
else()
    file(RELATIVE_PATH to_prefix "/prefix/${tweedie_pkgconfig_dir}" "/prefix")
    cmake_path(SET to_prefix NORMALIZE "${to_prefix}")
    string(REGEX REPLACE "/$" "" to_prefix "${to_prefix}")
    set(pkgconfig_prefix "\${pcfiledir}/${to_prefix}")
endif()
set(pkgconfig_includedir "${CMAKE_INSTALL_INCLUDEDIR}")
cmake_path(IS_ABSOLUTE pkgconfig_includedir includedir_is_absolute)
if(NOT includedir_is_absolute)
    string(PREPEND pkgconfig_includedir "\${prefix}/")
endif()
configure_file("${CMAKE_CURRENT_LIST_DIR}/tweedie.pc.in" "${PROJECT_BINARY_DIR}/tweedie.pc" @ONLY)
install(FILES "${PROJECT_BINARY_DIR}/tweedie.pc" DESTINATION "${tweedie_pkgconfig_dir}")

install(FILES "${PROJECT_SOURCE_DIR}/LICENSE" DESTINATION "${CMAKE_INSTALL_DATADIR}/licenses/tweedie")
