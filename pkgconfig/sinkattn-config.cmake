# What find_package(sinkattn) reads: it gives the target sinkattn::sinkattn. SPDX-License-Identifier: MIT
#
# COMPONENTS static, or shared, asks for that library. Without them it is the one that was installed, and the shared one
# where both were.
cmake_policy(PUSH)
cmake_policy(VERSION 3.13)
include("${CMAKE_CURRENT_LIST_DIR}/sinkattn-targets.cmake")

get_target_property(sinkattn_type sinkattn::sinkattn TYPE)
set(sinkattn_static_FOUND FALSE)
set(sinkattn_shared_FOUND FALSE)
if(sinkattn_type STREQUAL "SHARED_LIBRARY")
    set(sinkattn_shared_FOUND TRUE)
else()
    set(sinkattn_static_FOUND TRUE)
endif()
unset(sinkattn_type)

foreach(sinkattn_component IN LISTS sinkattn_FIND_COMPONENTS)
    if(sinkattn_FIND_REQUIRED_${sinkattn_component} AND NOT sinkattn_${sinkattn_component}_FOUND)
        set(sinkattn_FOUND FALSE)
        set(sinkattn_NOT_FOUND_MESSAGE "sinkattn::sinkattn is not to be had here as: ${sinkattn_component}")
    endif()
endforeach()
unset(sinkattn_component)
cmake_policy(POP)
