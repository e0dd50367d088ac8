// Part of every test program: what it asks of AddressSanitizer, where it is built with that.
//
// Without `__tls_get_addr` watched. LeakSanitizer looks through the thread-local memory of libraries opened while a program runs,
// and guesses from its address where that lies: where it begins 16 bytes behind a page's start, what stands before it, whatever it
// is, is taken for that, and the look for leaks at the program's end crashes ("Tracer caught signal 11").
extern "C" __attribute__((visibility("default"))) const char* __asan_default_options();

const char* __asan_default_options() { return "intercept_tls_get_addr=0"; }
