# SPDX-License-Identifier: MIT
# For the scripts test.cmake, demo.cmake and bench.cmake: what is missing is installed with apt where that is allowed;
# otherwise the command that would do it is printed and the script stops.

# A thing is present when a program of its name is on PATH, or one of its files is in a prefix.
set(programs_compiler "$ENV{CXX}" c++ g++ clang++)
set(package_compiler g++)
set(programs_generator ninja ninja-build make)
set(package_generator ninja-build)
set(programs_pkg_config pkg-config pkgconf)
set(package_pkg_config pkg-config)
set(files_eigen share/eigen3/cmake/Eigen3Config.cmake lib*/cmake/eigen3/Eigen3Config.cmake)
set(package_eigen libeigen3-dev)
set(files_catch2 lib*/cmake/Catch2/Catch2Config.cmake lib/*/cmake/Catch2/Catch2Config.cmake
    share/cmake/Catch2/Catch2Config.cmake
)
set(package_catch2 catch2)
set(files_json share/cmake/nlohmann_json/nlohmann_jsonConfig.cmake lib*/cmake/nlohmann_json/nlohmann_jsonConfig.cmake)
set(package_json nlohmann-json3-dev)
set(files_xtensor lib*/cmake/xtensor/xtensorConfig.cmake lib/*/cmake/xtensor/xtensorConfig.cmake
    share/cmake/xtensor/xtensorConfig.cmake
)
set(package_xtensor libxtensor-dev)
set(files_benchmark lib*/cmake/benchmark/benchmarkConfig.cmake lib/*/cmake/benchmark/benchmarkConfig.cmake)
set(package_benchmark libbenchmark-dev)
set(files_stb include/stb/stb_image_write.h include/stb_image_write.h)
set(package_stb libstb-dev)
set(files_zlib include/zlib.h)
set(package_zlib zlib1g-dev)
set(programs_mpi mpirun)
set(package_mpi libopenmpi-dev openmpi-bin)
set(files_fashion_mnist share/datasets/fashion-mnist/train-images-idx3-ubyte.gz)
set(package_fashion_mnist dataset-fashion-mnist)

function(tweedie_is_present thing result)
    set(${result} FALSE PARENT_SCOPE)
    foreach(program IN LISTS programs_${thing})
        unset(found)
        find_program(found NAMES "${program}" NO_CACHE)
        if(found)
            set(${result} TRUE PARENT_SCOPE)
            return()
        endif()
    endforeach()
    cmake_path(CONVERT "$ENV{CMAKE_PREFIX_PATH}" TO_CMAKE_PATH_LIST prefixes)
    foreach(prefix IN LISTS prefixes ITEMS /usr/local /usr /opt/homebrew /opt/local)
        foreach(file IN LISTS files_${thing})
            file(GLOB found "${prefix}/${file}")
            if(found)
                set(${result} TRUE PARENT_SCOPE)
                return()
            endif()
        endforeach()
    endforeach()
endfunction()

# tweedie_require(<thing>...): all of them are present afterwards, or the script has stopped. Those after OPTIONAL are
# left out where they cannot be installed.
function(tweedie_require)
    cmake_parse_arguments(PARSE_ARGV 0 wanted "" "" OPTIONAL)
    tweedie_install(FATAL_ERROR ${wanted_UNPARSED_ARGUMENTS})
    if(wanted_OPTIONAL)
        tweedie_install(STATUS ${wanted_OPTIONAL})
    endif()
endfunction()

# tweedie_install(<level> <thing>...): installs what is missing; where that fails, says so at that level.
function(tweedie_install level)
    set(missing "")
    set(packages "")
    foreach(thing IN LISTS ARGN)
        tweedie_is_present(${thing} present)
        if(NOT present)
            list(APPEND missing ${thing})
            list(APPEND packages ${package_${thing}})
        endif()
    endforeach()
    if(NOT missing)
        return()
    endif()
    list(JOIN missing ", " missing_text)
    list(JOIN packages " " packages_text)

    find_program(apt_get apt-get NO_CACHE)
    find_program(sudo sudo NO_CACHE)
    set(as_root "")
    set(allowed FALSE)
    if(apt_get)
        execute_process(COMMAND id -u OUTPUT_VARIABLE user OUTPUT_STRIP_TRAILING_WHITESPACE ERROR_QUIET)
        if(user STREQUAL "0")
            set(allowed TRUE)
        elseif(sudo)
            execute_process(COMMAND "${sudo}" -n true RESULT_VARIABLE refused OUTPUT_QUIET ERROR_QUIET)
            if(refused EQUAL 0)
                set(allowed TRUE)
                set(as_root "${sudo}" -n)
            endif()
        endif()
    endif()
    if(NOT allowed)
        message(
            ${level}
            "Missing: ${missing_text}. Install what follows (names of Debian and Ubuntu), then run this again:\n"
            "  sudo apt-get update && sudo apt-get install -y --no-install-recommends ${packages_text}"
        )
        return()
    endif()

    message(STATUS "Missing: ${missing_text}. Installing: ${packages_text}")
    set(apt ${as_root} env DEBIAN_FRONTEND=noninteractive "${apt_get}" -qq -o DPkg::Lock::Timeout=120)
    execute_process(COMMAND ${apt} update RESULT_VARIABLE failed)
    if(NOT failed EQUAL 0)
        message(STATUS "apt-get update failed; trying with the package lists that are there")
    endif()
    execute_process(
        COMMAND ${apt} install -y --no-install-recommends ${packages}
        RESULT_VARIABLE failed
        OUTPUT_FILE /dev/null
    )
    if(NOT failed EQUAL 0)
        message(${level} "apt-get could not install ${packages_text}")
    endif()
endfunction()
