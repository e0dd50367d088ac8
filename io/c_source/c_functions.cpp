#include <gpucnn/io/c_source/c_functions.h>

#include <array>

namespace gpucnn {

const std::string_view kCWindow = R"(
/* A window that moves over an image, its elements `dilation` apart. `top` and `left` are the padding before the image. */
struct $_window {
  long channels, height, width;
  long outputs, out_height, out_width;
  long kernel_height, kernel_width;
  long stride_height, stride_width;
  long top, left;
  long dilation_height, dilation_width;
  long groups;
};
)";

namespace {

constexpr std::array kFunctions{
    CFunction{"conv2d", "", true, R"(
/* x: [channels, height, width] -> y: [outputs, out_height, out_width]. weight: [outputs, channels / groups, kernel_height,
   kernel_width]; bias: [outputs], or a null pointer. A row of y is added up tap by tap. */
static void $_conv2d(const struct $_window *o, const float *x, const float *weight, const float *bias, float *y) {
  const long channels = o->channels / o->groups, outputs = o->outputs / o->groups;
  for (long k = 0; k < o->outputs; ++k) {
    const float *group = x + k / outputs * channels * o->height * o->width;
    for (long i = 0; i < o->out_height; ++i) {
      const float *w = weight + k * channels * o->kernel_height * o->kernel_width;
      float *row = y + (k * o->out_height + i) * o->out_width;
      for (long j = 0; j < o->out_width; ++j) row[j] = bias ? bias[k] : 0.0f;
      for (long c = 0; c < channels; ++c) {
        for (long u = 0; u < o->kernel_height; ++u) {
          const long h = i * o->stride_height - o->top + u * o->dilation_height;
          if (h < 0 || h >= o->height) {
            w += o->kernel_width;
            continue;
          }
          const float *in = group + (c * o->height + h) * o->width;
          for (long v = 0; v < o->kernel_width; ++v, ++w) {
            const long shift = v * o->dilation_width - o->left, step = o->stride_width;
            long first = shift < 0 ? (step - 1 - shift) / step : 0, end = shift < o->width ? (o->width - 1 - shift) / step + 1 : 0;
            if (end > o->out_width) end = o->out_width;
            for (long j = first; j < end; ++j) row[j] += *w * in[j * step + shift];
          }
        }
      }
    }
  }
}
)"},
    CFunction{"linear", "", false, R"(
/* x: [in_features] -> y: [out_features]. weight: [out_features, in_features]; bias: [out_features], or a null pointer. Eight sums
   are faster than one, and lose less by rounding. */
static void $_linear(long in_features, long out_features, const float *x, const float *weight, const float *bias, float *y) {
  for (long k = 0; k < out_features; ++k) {
    const float *w = weight + k * in_features;
    float sums[8] = {0.0f};
    const long whole = in_features - in_features % 8;
    for (long i = 0; i < whole; i += 8) {
      for (int lane = 0; lane < 8; ++lane) sums[lane] += w[i + lane] * x[i + lane];
    }
    for (long i = whole; i < in_features; ++i) sums[0] += w[i] * x[i];
    y[k] = ((sums[0] + sums[4]) + (sums[1] + sums[5])) + ((sums[2] + sums[6]) + (sums[3] + sums[7])) + (bias ? bias[k] : 0.0f);
  }
}
)"},
    CFunction{"max_pool2d", "INFINITY", true, R"(
/* x: [channels, height, width] -> y: [channels, out_height, out_width]: the largest of each window. NaN stays NaN. */
static void $_max_pool2d(const struct $_window *o, const float *x, float *y) {
  for (long c = 0; c < o->channels; ++c, x += o->height * o->width) {
    for (long i = 0; i < o->out_height; ++i) {
      for (long j = 0; j < o->out_width; ++j) {
        float best = -INFINITY;
        for (long u = 0; u < o->kernel_height; ++u) {
          const long h = i * o->stride_height - o->top + u * o->dilation_height;
          if (h < 0 || h >= o->height) continue;
          for (long v = 0; v < o->kernel_width; ++v) {
            const long w = j * o->stride_width - o->left + v * o->dilation_width;
            if (w < 0 || w >= o->width) continue;
            const float value = x[h * o->width + w];
            if (value > best || value != value) best = value;
          }
        }
        *y++ = best;
      }
    }
  }
}
)"},
    CFunction{"avg_pool2d", "", true, R"(
/* x: [channels, height, width] -> y: [channels, out_height, out_width]: the mean of each window, of which the padding is a part if
   count_padding is 1. If divisor is not 0, the sum is divided by it instead. */
static void $_avg_pool2d(const struct $_window *o, int count_padding, long divisor, const float *x, float *y) {
  for (long c = 0; c < o->channels; ++c, x += o->height * o->width) {
    for (long i = 0; i < o->out_height; ++i) {
      const long top = i * o->stride_height - o->top;
      const long bottom = top + o->kernel_height < o->height + o->top ? top + o->kernel_height : o->height + o->top;
      const long first_row = top > 0 ? top : 0, end_row = bottom < o->height ? bottom : o->height;
      for (long j = 0; j < o->out_width; ++j) {
        const long left = j * o->stride_width - o->left;
        const long right = left + o->kernel_width < o->width + o->left ? left + o->kernel_width : o->width + o->left;
        const long first = left > 0 ? left : 0, end = right < o->width ? right : o->width;
        long count = divisor;
        double sum = 0;
        if (count == 0) count = count_padding ? (bottom - top) * (right - left) : (end_row - first_row) * (end - first);
        for (long h = first_row; h < end_row; ++h) {
          for (long w = first; w < end; ++w) sum += (double)x[h * o->width + w];
        }
        *y++ = (float)(sum / (double)count);
      }
    }
  }
}
)"},
    CFunction{"adaptive_avg_pool2d", "", false, R"(
/* x: [channels, height, width] -> y: [channels, out_height, out_width]: the mean of each bin. */
static void $_adaptive_avg_pool2d(long channels, long height, long width, long out_height, long out_width, const float *x,
                                   float *y) {
  for (long c = 0; c < channels; ++c, x += height * width) {
    for (long i = 0; i < out_height; ++i) {
      const long top = i * height / out_height, bottom = ((i + 1) * height + out_height - 1) / out_height;
      for (long j = 0; j < out_width; ++j) {
        const long left = j * width / out_width, right = ((j + 1) * width + out_width - 1) / out_width;
        double sum = 0;
        for (long h = top; h < bottom; ++h) {
          for (long w = left; w < right; ++w) sum += (double)x[h * width + w];
        }
        *y++ = (float)(sum / (double)((bottom - top) * (right - left)));
      }
    }
  }
}
)"},
    CFunction{"adaptive_max_pool2d", "INFINITY", false, R"(
/* x: [channels, height, width] -> y: [channels, out_height, out_width]: the largest of each bin. NaN stays NaN. */
static void $_adaptive_max_pool2d(long channels, long height, long width, long out_height, long out_width, const float *x,
                                   float *y) {
  for (long c = 0; c < channels; ++c, x += height * width) {
    for (long i = 0; i < out_height; ++i) {
      const long top = i * height / out_height, bottom = ((i + 1) * height + out_height - 1) / out_height;
      for (long j = 0; j < out_width; ++j) {
        const long left = j * width / out_width, right = ((j + 1) * width + out_width - 1) / out_width;
        float best = -INFINITY;
        for (long h = top; h < bottom; ++h) {
          for (long w = left; w < right; ++w) {
            const float value = x[h * width + w];
            if (value > best || value != value) best = value;
          }
        }
        *y++ = best;
      }
    }
  }
}
)"},
    CFunction{"upsample", "", false, R"(
/* x: [channels, height, width] -> y: [channels, height * factor_height, width * factor_width]: each pixel becomes a block. */
static void $_upsample(long channels, long height, long width, long factor_height, long factor_width, const float *x, float *y) {
  for (long row = 0; row < channels * height; ++row) {
    for (long u = 0; u < factor_height; ++u) {
      for (long j = 0; j < width * factor_width; ++j) *y++ = x[row * width + j / factor_width];
    }
  }
}
)"},
    CFunction{"scale_shift", "", false, R"(
/* y = x * scale + shift in each channel: a norm by running statistics. */
static void $_scale_shift(long channels, long pixels, const float *scale, const float *shift, const float *x, float *y) {
  for (long c = 0; c < channels; ++c) {
    for (long i = 0; i < pixels; ++i) y[c * pixels + i] = x[c * pixels + i] * scale[c] + shift[c];
  }
}
)"},
    CFunction{"group_norm", "sqrt", false, R"(
/* y = (x - mean) / sqrt(variance + eps) * weight + bias. Mean and variance are those of each group of channels; weight and bias are
   both of each channel, or both null pointers. */
static void $_group_norm(long channels, long pixels, long groups, double eps, const float *weight, const float *bias,
                         const float *x, float *y) {
  const long count = channels / groups * pixels;
  for (long g = 0; g < groups; ++g) {
    const float *in = x + g * count;
    double mean = 0, variance = 0;
    for (long i = 0; i < count; ++i) mean += (double)in[i];
    mean /= (double)count;
    for (long i = 0; i < count; ++i) variance += ((double)in[i] - mean) * ((double)in[i] - mean);
    const double scale = 1 / sqrt(variance / (double)count + eps);
    for (long i = 0; i < count; ++i) {
      const long c = (g * count + i) / pixels;
      const float normal = (float)(((double)in[i] - mean) * scale);
      y[g * count + i] = weight ? normal * weight[c] + bias[c] : normal;
    }
  }
}
)"},
    CFunction{"relu", "", false, R"(
/* y = max(x, 0). NaN stays NaN. */
static void $_relu(long count, const float *x, float *y) {
  for (long i = 0; i < count; ++i) y[i] = x[i] < 0 ? 0.0f : x[i];
}
)"},
    CFunction{"leaky_relu", "", false, R"(
/* y = x where x > 0, else slope * x. */
static void $_leaky_relu(long count, float slope, const float *x, float *y) {
  for (long i = 0; i < count; ++i) y[i] = x[i] > 0 ? x[i] : slope * x[i];
}
)"},
    CFunction{"relu6", "", false, R"(
/* y = min(max(x, 0), 6). NaN stays NaN. */
static void $_relu6(long count, const float *x, float *y) {
  for (long i = 0; i < count; ++i) y[i] = x[i] < 0 ? 0.0f : x[i] > 6 ? 6.0f : x[i];
}
)"},
    CFunction{"gelu", "erff", false, R"(
/* y = x (1 + erf(x / sqrt(2))) / 2. */
static void $_gelu(long count, const float *x, float *y) {
  for (long i = 0; i < count; ++i) y[i] = 0.5f * x[i] * (1.0f + erff(x[i] * 0.70710678f));
}
)"},
    CFunction{"gelu_tanh", "tanhf", false, R"(
/* y = x (1 + tanh(sqrt(2 / pi) (x + 0.044715 x^3))) / 2. */
static void $_gelu_tanh(long count, const float *x, float *y) {
  for (long i = 0; i < count; ++i) {
    y[i] = 0.5f * x[i] * (1.0f + tanhf(0.79788456f * (x[i] + 0.044715f * x[i] * x[i] * x[i])));
  }
}
)"},
    CFunction{"silu", "expf", false, R"(
/* y = x / (1 + exp(-x)). */
static void $_silu(long count, const float *x, float *y) {
  for (long i = 0; i < count; ++i) y[i] = x[i] / (1.0f + expf(-x[i]));
}
)"},
    CFunction{"hardswish", "", false, R"(
/* y = x min(max(x + 3, 0), 6) / 6. */
static void $_hardswish(long count, const float *x, float *y) {
  for (long i = 0; i < count; ++i) {
    const float shifted = x[i] + 3.0f;
    y[i] = x[i] * (shifted < 0 ? 0.0f : shifted > 6 ? 6.0f : shifted) / 6.0f;
  }
}
)"},
    CFunction{"sigmoid", "expf", false, R"(
/* y = 1 / (1 + exp(-x)). */
static void $_sigmoid(long count, const float *x, float *y) {
  for (long i = 0; i < count; ++i) y[i] = 1.0f / (1.0f + expf(-x[i]));
}
)"},
    CFunction{"tanh", "tanhf", false, R"(
/* y = tanh(x). */
static void $_tanh(long count, const float *x, float *y) {
  for (long i = 0; i < count; ++i) y[i] = tanhf(x[i]);
}
)"},
    CFunction{"scale", "", false, R"(
/* y = factor * x. */
static void $_scale(long count, float factor, const float *x, float *y) {
  for (long i = 0; i < count; ++i) y[i] = factor * x[i];
}
)"},
    CFunction{"softmax", "expf", false, R"(
/* y = exp(x) / the sum of exp(x) over the channels, for each pixel. The largest x is taken off first, so that no exp overflows. */
static void $_softmax(long channels, long pixels, const float *x, float *y) {
  for (long i = 0; i < pixels; ++i) {
    float largest = x[i], sum = 0.0f;
    for (long c = 1; c < channels; ++c) largest = x[c * pixels + i] > largest ? x[c * pixels + i] : largest;
    for (long c = 0; c < channels; ++c) {
      y[c * pixels + i] = expf(x[c * pixels + i] - largest);
      sum += y[c * pixels + i];
    }
    for (long c = 0; c < channels; ++c) y[c * pixels + i] /= sum;
  }
}
)"},
    CFunction{"add", "", false, R"(
/* y = a + b. */
static void $_add(long count, const float *a, const float *b, float *y) {
  for (long i = 0; i < count; ++i) y[i] = a[i] + b[i];
}
)"},
    CFunction{"copy", "", false, R"(
/* y = x. */
static void $_copy(long count, const float *x, float *y) {
  for (long i = 0; i < count; ++i) y[i] = x[i];
}
)"},
};

}  // namespace

std::span<const CFunction> c_functions() { return kFunctions; }

}  // namespace gpucnn
