# gpucnn_warnings(TARGET), gpucnn_options(TARGET): the warnings, and the warnings and sanitizers, of everything that is built here. A
# sanitizer sees C++; code for a GPU is checked where tests compile it as C++.
function(gpucnn_warnings target)
  # Designated initialisers name what differs from the default; the rest is meant to keep it.
  set(warnings -Wall -Wextra -Wpedantic -Wshadow -Wconversion -Wno-sign-conversion -Wno-missing-field-initializers)
  target_compile_options(${target} PRIVATE "$<$<COMPILE_LANGUAGE:CXX>:${warnings}>")
  # CMake 3.25 does not know how to ask nvcc 13 for C++20. Constexpr functions of the host run on the device too.
  target_compile_options(${target} PRIVATE "$<$<COMPILE_LANGUAGE:CUDA>:-std=c++20;--expt-relaxed-constexpr;-Xcompiler=-Wall,-Wextra>")
  if(GPUCNN_WERROR)
    target_compile_options(${target} PRIVATE "$<$<COMPILE_LANGUAGE:CXX>:-Werror>" "$<$<COMPILE_LANGUAGE:CUDA>:-Werror=all-warnings>")
    # A kernel that keeps registers in memory is as wrong as one that warns.
    target_compile_options(${target} PRIVATE "$<$<COMPILE_LANGUAGE:CUDA>:-Xptxas=--warn-on-spills,--warning-as-error>")
  endif()
endfunction()

function(gpucnn_options target)
  gpucnn_warnings(${target})
  if(GPUCNN_SANITIZE)
    target_compile_options(${target} PRIVATE
      "$<$<COMPILE_LANGUAGE:CXX>:-fsanitize=${GPUCNN_SANITIZE};-fno-sanitize-recover=all;-fno-omit-frame-pointer>")
    target_link_options(${target} PUBLIC -fsanitize=${GPUCNN_SANITIZE})
  endif()
endfunction()
