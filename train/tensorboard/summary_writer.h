#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include <gpucnn/core/export.h>
#include <gpucnn/core/tensor.h>

namespace gpucnn {

struct SummaryWriterOptions {
  /// For a run that goes on: TensorBoard forgets what earlier files of the folder have of this step and later ones.
  std::optional<std::int64_t> purge_step = {};
};

/// Writes an event file of TensorBoard, as PyTorch's class of the same name does: `tensorboard --logdir DIR` shows it, also while
/// the run goes on. Needs no TensorFlow. Every call has its record in the file when it returns. A file that cannot be written
/// throws `OutputError`; the records before stay whole. Every `add_` throws `std::invalid_argument` for a tag that is not UTF-8,
/// and `std::logic_error` where the writer is closed or was moved from. So does `flush`. For one thread at a time.
///
///     SummaryWriter writer("runs/mine");
///     writer.add_scalar("loss/train", loss, step);
class GPUCNN_API SummaryWriter {
 public:
  /// Begins a file of its own in the folder, which is made if it is not there.
  explicit SummaryWriter(const std::filesystem::path& log_dir, const SummaryWriterOptions& options = {});
  ~SummaryWriter();
  SummaryWriter(SummaryWriter&&) noexcept;
  SummaryWriter& operator=(SummaryWriter&&) noexcept;

  /// A point of a curve. `tag` is its name, in UTF-8; curves whose tags begin alike up to a slash stand together.
  void add_scalar(std::string_view tag, double value, std::int64_t step);
  /// image: u8, or f32 from 0 to 1, [1, C, H, W] with 1 or 3 channels, on any device. Throws `std::invalid_argument` for others.
  void add_image(std::string_view tag, const Tensor& image, std::int64_t step);
  /// The same from a PNG file, as `heat_map_png` makes one. Throws `std::invalid_argument` for what does not begin as one.
  void add_png(std::string_view tag, std::string_view png, std::int64_t step);
  /// How f32 numbers are distributed, of any shape on any device. Those that are not finite are left out. Throws
  /// `std::invalid_argument` for numbers of another type.
  void add_histogram(std::string_view tag, const Tensor& values, std::int64_t step);

  /// All of it to the disk, so that it outlives a power cut.
  void flush();
  /// Ends the file. Does nothing where it has ended.
  void close();

  /// The event file.
  const std::filesystem::path& path() const noexcept { return path_; }

 private:
  struct Impl;
  Impl& open_file();

  std::filesystem::path path_;
  std::unique_ptr<Impl> impl_;  // null: closed, or moved from
};

}  // namespace gpucnn
