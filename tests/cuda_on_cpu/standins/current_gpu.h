#pragma once

/// Makes a GPU the calling thread's current one, and gives the one before: for vendors' calls that choose their GPU themselves.
extern "C" __attribute__((visibility("default"))) int gpucnn_standin_make_current(int gpu);
