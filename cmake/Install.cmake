# The install target, and the package that find_package(gpucnn) finds.
include(CMakePackageConfigHelpers)

foreach(header IN LISTS GPUCNN_PUBLIC_HEADERS)
  get_filename_component(folder "gpucnn/${header}" DIRECTORY)
  install(FILES "${PROJECT_SOURCE_DIR}/${header}" DESTINATION "${CMAKE_INSTALL_INCLUDEDIR}/${folder}")
endforeach()
install(FILES "${PROJECT_BINARY_DIR}/include/gpucnn/gpucnn.h" DESTINATION "${CMAKE_INSTALL_INCLUDEDIR}/gpucnn")
install(FILES "${PROJECT_BINARY_DIR}/include/gpucnn/core/config.h" DESTINATION "${CMAKE_INSTALL_INCLUDEDIR}/gpucnn/core")
install(FILES "${PROJECT_SOURCE_DIR}/LICENSE" DESTINATION "${CMAKE_INSTALL_DOCDIR}")
install(TARGETS gpucnn EXPORT gpucnnTargets)

set(package "${CMAKE_INSTALL_LIBDIR}/cmake/gpucnn")
get_target_property(GPUCNN_TYPE gpucnn TYPE)
install(EXPORT gpucnnTargets NAMESPACE gpucnn:: DESTINATION "${package}")
configure_package_config_file("${PROJECT_SOURCE_DIR}/cmake/gpucnnConfig.cmake.in" "${PROJECT_BINARY_DIR}/gpucnnConfig.cmake"
                              INSTALL_DESTINATION "${package}")
write_basic_package_version_file("${PROJECT_BINARY_DIR}/gpucnnConfigVersion.cmake" COMPATIBILITY SameMinorVersion)
install(FILES "${PROJECT_BINARY_DIR}/gpucnnConfig.cmake" "${PROJECT_BINARY_DIR}/gpucnnConfigVersion.cmake"
              "${PROJECT_SOURCE_DIR}/cmake/FindoneDNN.cmake" "${PROJECT_SOURCE_DIR}/cmake/FindHighway.cmake"
              "${PROJECT_SOURCE_DIR}/cmake/FindTurboJPEG.cmake"
        DESTINATION "${package}")
