# gpucnn_options(TARGET): the warnings and sanitizers of everything that is built here.
function(gpucnn_options target)
  target_compile_options(${target} PRIVATE -Wall -Wextra -Wpedantic -Wshadow -Wconversion -Wno-sign-conversion)
  # Designated initialisers name what differs from the default; the rest is meant to keep it.
  target_compile_options(${target} PRIVATE -Wno-missing-field-initializers)
  if(GPUCNN_WERROR)
    target_compile_options(${target} PRIVATE -Werror)
  endif()
  if(GPUCNN_SANITIZE)
    target_compile_options(${target} PRIVATE -fsanitize=${GPUCNN_SANITIZE} -fno-sanitize-recover=all -fno-omit-frame-pointer)
    target_link_options(${target} PUBLIC -fsanitize=${GPUCNN_SANITIZE})
  endif()
endfunction()
