# cpack makes Debian packages: libgpucnn0.1 (a shared library), libgpucnn-dev (headers, package files, a static library) and gpucnn-tools
# (the programs). dpkg-shlibdeps reads from the binaries which packages they need. Configure with -DCMAKE_INSTALL_PREFIX=/usr, so that
# files lie where Debian has them.
set(CPACK_GENERATOR DEB)
set(CPACK_PACKAGE_NAME libgpucnn)
if(NOT CPACK_PACKAGE_CONTACT)  # whoever publishes packages says where to write to: -DCPACK_PACKAGE_CONTACT=…
  set(CPACK_PACKAGE_CONTACT "The libgpucnn authors <libgpucnn@localhost>")
endif()
set(CPACK_PACKAGE_DESCRIPTION_SUMMARY "${PROJECT_DESCRIPTION}")
set(CPACK_PACKAGING_INSTALL_PREFIX /usr)
set(CPACK_STRIP_FILES ON)
set(CPACK_VERBATIM_VARIABLES ON)

set(runtime_package "libgpucnn${PROJECT_VERSION_MAJOR}.${PROJECT_VERSION_MINOR}")
set(CPACK_DEB_COMPONENT_INSTALL ON)
set(CPACK_DEBIAN_FILE_NAME DEB-DEFAULT)
set(CPACK_DEBIAN_RUNTIME_PACKAGE_NAME "${runtime_package}")
set(CPACK_DEBIAN_RUNTIME_DESCRIPTION "Convolutional networks: the shared library")
set(CPACK_DEBIAN_RUNTIME_PACKAGE_SECTION libs)
set(CPACK_DEBIAN_RUNTIME_PACKAGE_SHLIBDEPS ON)
set(CPACK_DEBIAN_PACKAGE_GENERATE_SHLIBS ON)  # so that programs of others find out which package they need
set(CPACK_DEBIAN_DEV_PACKAGE_NAME libgpucnn-dev)
set(CPACK_DEBIAN_DEV_DESCRIPTION "Convolutional networks: headers and files to link")
set(CPACK_DEBIAN_DEV_PACKAGE_SECTION libdevel)
set(CPACK_DEBIAN_TOOLS_PACKAGE_NAME gpucnn-tools)
set(CPACK_DEBIAN_TOOLS_DESCRIPTION "Convolutional networks: programs that train, predict and export")
set(CPACK_DEBIAN_TOOLS_PACKAGE_SECTION science)
set(CPACK_DEBIAN_TOOLS_PACKAGE_SHLIBDEPS ON)

if(GPUCNN_TYPE STREQUAL "STATIC_LIBRARY")
  set(CPACK_COMPONENTS_ALL dev)
  set(CPACK_DEBIAN_DEV_PACKAGE_DEPENDS "libdnnl-dev, libhwy-dev, libpng-dev, libturbojpeg0-dev, zlib1g-dev")
  if(GPUCNN_WITH_CUDA)  # its runtime may come from elsewhere than a package
    string(REGEX REPLACE "([0-9]+)\\.([0-9]+).*" "\\1-\\2" cuda "${CUDAToolkit_VERSION}")
    set(CPACK_DEBIAN_DEV_PACKAGE_RECOMMENDS "cuda-cudart-dev-${cuda}")
  endif()
else()
  set(CPACK_COMPONENTS_ALL runtime dev)
  set(CPACK_DEBIAN_DEV_PACKAGE_DEPENDS "${runtime_package} (= ${PROJECT_VERSION})")
  # dpkg-shlibdeps must find the library, which no package has yet; what needs it is said here.
  set(CPACK_DEBIAN_TOOLS_PACKAGE_DEPENDS "${runtime_package} (= ${PROJECT_VERSION})")
  set(CPACK_DEBIAN_PACKAGE_SHLIBDEPS_PRIVATE_DIRS "${PROJECT_BINARY_DIR}")
endif()
if(installed_programs)
  list(APPEND CPACK_COMPONENTS_ALL tools)
endif()
include(CPack)
