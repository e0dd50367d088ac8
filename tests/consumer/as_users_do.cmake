# Brings gpucnn::gpucnn in: with GPUCNN_SOURCE by add_subdirectory, without it by find_package.
if(NOT GPUCNN_SOURCE)
  find_package(gpucnn 0.1 REQUIRED)
  return()
endif()

# Names that a user's project may well have.
add_custom_target(tests)
add_custom_target(benchmarks)
add_custom_target(check)
set(programs_of_ours "${programs}")
set(CMAKE_MODULE_PATH "/nowhere")
add_subdirectory("${GPUCNN_SOURCE}" gpucnn)

# The library must add itself and nothing else.
if(NOT programs STREQUAL programs_of_ours OR NOT CMAKE_MODULE_PATH STREQUAL "/nowhere")
  message(FATAL_ERROR "libgpucnn changes variables of its user")
endif()
get_property(folders DIRECTORY "${GPUCNN_SOURCE}" PROPERTY SUBDIRECTORIES)
get_property(targets DIRECTORY "${GPUCNN_SOURCE}" PROPERTY BUILDSYSTEM_TARGETS)
if(folders OR NOT targets STREQUAL "gpucnn")
  message(FATAL_ERROR "libgpucnn adds more than itself to its user's project: ${folders} ${targets}")
endif()
get_target_property(options gpucnn COMPILE_OPTIONS)
get_target_property(interface gpucnn INTERFACE_COMPILE_OPTIONS)
if(options MATCHES "-Werror" OR interface)
  message(FATAL_ERROR "libgpucnn forces options on its user's project: ${options} ${interface}")
endif()
