# gpucnn_link_headers(DIR FILE...): makes each FILE of this source tree appear as DIR/gpucnn/FILE. What is not listed cannot be
# included, and the root of the tree is never on an include path.
function(gpucnn_link_headers dir)
  foreach(file IN LISTS ARGN)
    get_filename_component(folder "${dir}/gpucnn/${file}" DIRECTORY)
    file(MAKE_DIRECTORY "${folder}")
    file(CREATE_LINK "${PROJECT_SOURCE_DIR}/${file}" "${dir}/gpucnn/${file}" COPY_ON_ERROR SYMBOLIC)
  endforeach()
endfunction()
