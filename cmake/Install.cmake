# The install target, and the packages that find_package(gpucnn) and pkg-config find. Its components are those of Debian's packages:
# runtime, dev and tools.
include(CMakePackageConfigHelpers)

foreach(header IN LISTS GPUCNN_PUBLIC_HEADERS)
  get_filename_component(folder "gpucnn/${header}" DIRECTORY)
  install(FILES "${PROJECT_SOURCE_DIR}/${header}" DESTINATION "${CMAKE_INSTALL_INCLUDEDIR}/${folder}" COMPONENT dev)
endforeach()
install(FILES "${PROJECT_BINARY_DIR}/include/gpucnn/gpucnn.h" DESTINATION "${CMAKE_INSTALL_INCLUDEDIR}/gpucnn"
        COMPONENT dev)
install(FILES "${PROJECT_BINARY_DIR}/include/gpucnn/core/config.h" DESTINATION "${CMAKE_INSTALL_INCLUDEDIR}/gpucnn/core"
        COMPONENT dev)
install(FILES "${PROJECT_SOURCE_DIR}/LICENSE" DESTINATION "${CMAKE_INSTALL_DOCDIR}" COMPONENT dev)
install(TARGETS gpucnn EXPORT gpucnnTargets
        LIBRARY DESTINATION "${CMAKE_INSTALL_LIBDIR}" COMPONENT runtime NAMELINK_COMPONENT dev
        ARCHIVE DESTINATION "${CMAKE_INSTALL_LIBDIR}" COMPONENT dev)

set(package "${CMAKE_INSTALL_LIBDIR}/cmake/gpucnn")
get_target_property(GPUCNN_TYPE gpucnn TYPE)
install(EXPORT gpucnnTargets NAMESPACE gpucnn:: DESTINATION "${package}" COMPONENT dev)
configure_package_config_file("${PROJECT_SOURCE_DIR}/cmake/gpucnnConfig.cmake.in" "${PROJECT_BINARY_DIR}/gpucnnConfig.cmake"
                              INSTALL_DESTINATION "${package}")
write_basic_package_version_file("${PROJECT_BINARY_DIR}/gpucnnConfigVersion.cmake" COMPATIBILITY SameMinorVersion)
install(FILES "${PROJECT_BINARY_DIR}/gpucnnConfig.cmake" "${PROJECT_BINARY_DIR}/gpucnnConfigVersion.cmake"
              "${PROJECT_SOURCE_DIR}/cmake/FindoneDNN.cmake" "${PROJECT_SOURCE_DIR}/cmake/FindHighway.cmake"
              "${PROJECT_SOURCE_DIR}/cmake/FindTurboJPEG.cmake"
        DESTINATION "${package}" COMPONENT dev)
include(PkgConfig)
if(GPUCNN_SAMPLES)
  include(Programs)
endif()
if(PROJECT_IS_TOP_LEVEL)  # another project packs itself
  include(Package)
endif()
