# The lists of the library's files without a compiler and without a configured build folder. Writes DIR/sources.txt:
#   cmake -DPROJECT_SOURCE_DIR=ROOT -DPROJECT_BINARY_DIR=DIR -P cmake/SourceLists.cmake
cmake_minimum_required(VERSION 3.25)
include("${CMAKE_CURRENT_LIST_DIR}/Sources.cmake")
