#include <gpucnn/data/augment_rules.h>

#include <gpucnn/core/threads/float_environment.h>
#include <gpucnn/data/mixed_batch.h>
#include <gpucnn/data/tensor_dataset.h>
#include <gpucnn/kernels/augment/check_augment.h>
#include <gpucnn/kernels/image/check_crop.h>

namespace gpucnn {

void check_augmentations(const DataLoaderOptions& options, const Dataset& dataset) {
  constexpr const char* kWho = "DataLoader";
  const FloatEnvironment standard;  // NaN is refused, and must not stop the program
  const Shape image = dataset.image_shape();
  if (options.random_resized_crop) kernels::check_random_resized_crop(kWho, *options.random_resized_crop, image[1], image[2]);
  kernels::check_one_way(kWho, options.random_resized_crop.has_value(), options.crop_padding, options.flip,
                         options.alternating_flip);
  kernels::check_color_jitter(kWho, options.color_jitter, image[0]);
  const kernels::ImageTransform transform{.random_resized_crop = options.random_resized_crop};
  const Shape batch = transform.batch_shape({1, image[0], image[1], image[2]}, 1);
  kernels::check_cutout(kWho, options.cutout, batch[2], batch[3]);
  kernels::check_mix(kWho, options.mix);
  const auto* tensors = dynamic_cast<const TensorDataset*>(&dataset);
  if (options.mix.any() && tensors) check_have_classes(tensors->labels());
}

}  // namespace gpucnn
