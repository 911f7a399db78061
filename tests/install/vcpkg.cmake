# Runs a vcpkg port where vcpkg is not: each function that the port calls does what vcpkg's does, as far as that.
# SPDX-License-Identifier: MIT
#
#   cmake -DFOLDER=port -DWORK=folder -DVERSION=version -DJOBS=n -DFLAGS=flags -P tests/install/vcpkg.cmake
cmake_minimum_required(VERSION 3.15)
set(PORT sinkattn)
set(CURRENT_PACKAGES_DIR "${WORK}/packages")

function(run)
    execute_process(COMMAND ${ARGN} RESULT_VARIABLE status)
    if(status)
        message(FATAL_ERROR "failed: ${ARGN}")
    endif()
endfunction()

function(vcpkg_download_distfile out)
    cmake_parse_arguments(arg "" "URLS;FILENAME;SHA512" "" ${ARGN})
    file(DOWNLOAD "${arg_URLS}" "${WORK}/${arg_FILENAME}" EXPECTED_HASH SHA512=${arg_SHA512})
    set(${out} "${WORK}/${arg_FILENAME}" PARENT_SCOPE)
endfunction()

function(vcpkg_extract_source_archive out)
    cmake_parse_arguments(arg "" "ARCHIVE" "" ${ARGN})
    file(MAKE_DIRECTORY "${WORK}/sources")
    execute_process(COMMAND ${CMAKE_COMMAND} -E tar xzf "${arg_ARCHIVE}" WORKING_DIRECTORY "${WORK}/sources")
    file(GLOB folder "${WORK}/sources/*")
    set(${out} "${folder}" PARENT_SCOPE)
endfunction()

function(vcpkg_check_features)
    cmake_parse_arguments(arg "" "OUT_FEATURE_OPTIONS" "FEATURES" ${ARGN})
    list(GET arg_FEATURES 1 option)
    set(${arg_OUT_FEATURE_OPTIONS} "-D${option}=OFF" PARENT_SCOPE)
endfunction()

# As vcpkg's: once optimised, once to debug, which is installed below debug/. (FLAGS are here what either is compiled with.)
function(vcpkg_cmake_configure)
    cmake_parse_arguments(arg "" "SOURCE_PATH" "OPTIONS" ${ARGN})
    foreach(type Release Debug)
        string(REPLACE Release "" below "${type}")
        string(REPLACE Debug /debug below "${below}")
        run(${CMAKE_COMMAND} -S "${arg_SOURCE_PATH}" -B "${WORK}/${type}" ${arg_OPTIONS} -DCMAKE_BUILD_TYPE=${type}
            "-DCMAKE_C_FLAGS_RELEASE=${FLAGS}" "-DCMAKE_C_FLAGS_DEBUG=${FLAGS}" -DBUILD_SHARED_LIBS=OFF "-DCMAKE_INSTALL_PREFIX=${CURRENT_PACKAGES_DIR}${below}")
    endforeach()
endfunction()

function(vcpkg_cmake_install)
    foreach(type Release Debug)
        run(${CMAKE_COMMAND} --build "${WORK}/${type}" --parallel ${JOBS} --target install)
    endforeach()
endfunction()

# The configuration goes to share/, and the debugging one's own file beside it; the others' are all the same.
function(vcpkg_cmake_config_fixup)
    cmake_parse_arguments(arg "" "CONFIG_PATH" "" ${ARGN})
    file(GLOB debug "${CURRENT_PACKAGES_DIR}/debug/${arg_CONFIG_PATH}/*-debug.cmake")
    if(NOT debug)
        message(FATAL_ERROR "no configuration to debug with in ${arg_CONFIG_PATH}")
    endif()
    file(GLOB all "${CURRENT_PACKAGES_DIR}/${arg_CONFIG_PATH}/*.cmake")
    file(COPY ${all} ${debug} DESTINATION "${CURRENT_PACKAGES_DIR}/share/sinkattn")
    file(REMOVE_RECURSE "${CURRENT_PACKAGES_DIR}/lib/cmake" "${CURRENT_PACKAGES_DIR}/debug/lib/cmake")
endfunction()

function(vcpkg_fixup_pkgconfig)
    foreach(below "" /debug)
        if(NOT EXISTS "${CURRENT_PACKAGES_DIR}${below}/lib/pkgconfig/sinkattn.pc")
            message(FATAL_ERROR "no sinkattn.pc in ${below}/lib/pkgconfig")
        endif()
    endforeach()
endfunction()

function(vcpkg_install_copyright)
    cmake_parse_arguments(arg "" "" "FILE_LIST" ${ARGN})
    file(INSTALL ${arg_FILE_LIST} DESTINATION "${CURRENT_PACKAGES_DIR}/share/sinkattn" RENAME copyright)
endfunction()

include("${FOLDER}/portfile.cmake")
if(EXISTS "${CURRENT_PACKAGES_DIR}/debug/include" OR EXISTS "${CURRENT_PACKAGES_DIR}/debug/share")
    message(FATAL_ERROR "vcpkg refuses a package with debug/include or debug/share")
endif()
