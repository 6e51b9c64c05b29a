set(VCPKG_BUILD_TYPE release) # header-only

# An overlay port: REPO and SHA512 are set when a release is published.
vcpkg_from_github(
    OUT_SOURCE_PATH SOURCE_PATH
    REPO tweedie/tweedie
    REF "v${VERSION}"
    SHA512 0
    HEAD_REF main
)

vcpkg_cmake_configure(SOURCE_PATH "${SOURCE_PATH}")
vcpkg_cmake_install()
vcpkg_cmake_config_fixup(CONFIG_PATH share/cmake/tweedie)
vcpkg_fixup_pkgconfig()

# vcpkg keeps the licence as share/tweedie/copyright.
file(REMOVE_RECURSE "${CURRENT_PACKAGES_DIR}/share/licenses")
vcpkg_install_copyright(FILE_LIST "${SOURCE_PATH}/LICENSE")
file(INSTALL "${CMAKE_CURRENT_LIST_DIR}/usage" DESTINATION "${CURRENT_PACKAGES_DIR}/share/${PORT}")
