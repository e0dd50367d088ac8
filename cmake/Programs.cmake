# The programs of samples/ that are installed, each with its manual page. A program is linked once more under its installed name, from
# the objects of the sample: so its run path is that of an installed program, and the sample stays where scripts look for it.
find_package(CLI11 REQUIRED)  # what samples/ found is not known here
set(programs train_cifar:gpucnn-train predict:gpucnn-predict export:gpucnn-export)

# gpucnn_program(SAMPLE NAME): installs SAMPLE as NAME.
function(gpucnn_program sample name)
  set(objects ${sample})
  if(TARGET ${sample}_objects)
    set(objects ${sample}_objects)
  endif()
  add_executable(${name} $<TARGET_OBJECTS:${objects}>)
  gpucnn_options(${name})
  target_link_libraries(${name} PRIVATE $<TARGET_PROPERTY:${sample},LINK_LIBRARIES>)
  set_target_properties(${name} PROPERTIES RUNTIME_OUTPUT_DIRECTORY "${PROJECT_BINARY_DIR}/programs")
  if(GPUCNN_TYPE STREQUAL "SHARED_LIBRARY" AND NOT CMAKE_INSTALL_PREFIX STREQUAL "/usr")  # the system looks in /usr by itself
    file(RELATIVE_PATH libraries "/${CMAKE_INSTALL_BINDIR}" "/${CMAKE_INSTALL_LIBDIR}")
    set_target_properties(${name} PROPERTIES INSTALL_RPATH "\$ORIGIN/${libraries}")
  endif()
  install(TARGETS ${name} RUNTIME DESTINATION "${CMAKE_INSTALL_BINDIR}" COMPONENT tools)

  if(CMAKE_CROSSCOMPILING OR GPUCNN_SANITIZE)  # the page is what the program itself says
    return()
  endif()
  set(page "${PROJECT_BINARY_DIR}/man/${name}.1")
  add_custom_command(OUTPUT "${page}"
                     COMMAND ${CMAKE_COMMAND} -E make_directory "${PROJECT_BINARY_DIR}/man"
                     COMMAND bash "${PROJECT_SOURCE_DIR}/scripts/man_page" $<TARGET_FILE:${name}> ${name} > "${page}"
                     DEPENDS ${name} "${PROJECT_SOURCE_DIR}/scripts/man_page" COMMENT "Writing the manual page of ${name}" VERBATIM)
  add_custom_target(${name}_page ALL DEPENDS "${page}")
  install(FILES "${page}" DESTINATION "${CMAKE_INSTALL_MANDIR}/man1" COMPONENT tools)
endfunction()

set(installed_programs "")
foreach(program IN LISTS programs)
  string(REPLACE ":" ";" program "${program}")
  list(GET program 0 sample)
  list(GET program 1 name)
  if(TARGET ${sample})
    gpucnn_program(${sample} ${name})
    list(APPEND installed_programs ${name})
  endif()
endforeach()
