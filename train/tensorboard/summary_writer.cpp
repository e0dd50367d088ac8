#include <gpucnn/train/tensorboard/summary_writer.h>

#include <algorithm>
#include <chrono>
#include <stdexcept>
#include <utility>
#include <vector>

#include <gpucnn/core/text/formatted.h>
#include <gpucnn/core/text/printable.h>
#include <gpucnn/io/protobuf/wire_writer.h>
#include <gpucnn/train/report/picture.h>
#include <gpucnn/train/tensorboard/event_fields.h>
#include <gpucnn/train/tensorboard/histogram.h>
#include <gpucnn/train/tensorboard/record_file.h>

namespace gpucnn {
namespace {

using protobuf::WireWriter;
namespace fields = tensorboard;

/// An event of now.
WireWriter event_at(std::int64_t step) {
  WireWriter event;
  event.real64(fields::event::wall_time,
               std::chrono::duration<double>(std::chrono::system_clock::now().time_since_epoch()).count());
  event.integer(fields::event::step, step);
  return event;
}

/// The start of a summary's value.
WireWriter value_of(std::string_view tag) {
  if (!is_utf8(tag)) throw std::invalid_argument(formatted("SummaryWriter: tag \"{}\" is not UTF-8", printable(tag)));
  WireWriter value;
  value.bytes(fields::value::tag, tag);
  return value;
}

/// A number of four bytes in a PNG file, the highest first.
std::int64_t number_at(std::string_view png, std::size_t at) {
  std::int64_t number = 0;
  for (std::size_t i = 0; i < 4; ++i) number = number << 8 | static_cast<std::uint8_t>(png[at + i]);
  return number;
}

/// The numbers of a pixel in an image of PNG's colour type: grey, grey with transparency, colours with it, colours.
std::int64_t channels_of(std::uint8_t colour_type) {
  switch (colour_type) {
    case 0: return 1;
    case 4: return 2;
    case 6: return 4;
    default: return 3;
  }
}

}  // namespace

struct SummaryWriter::Impl {
  tensorboard::RecordFile file;

  void add(const WireWriter& value, std::int64_t step) {
    WireWriter event = event_at(step), summary;
    summary.message(fields::summary::value, value);
    event.message(fields::event::summary, summary);
    file.append(event.text());
  }
};

SummaryWriter::SummaryWriter(const std::filesystem::path& log_dir, const SummaryWriterOptions& options)
    : impl_(new Impl{tensorboard::RecordFile(log_dir)}) {
  path_ = impl_->file.path();
  const std::int64_t step = options.purge_step.value_or(0);
  WireWriter version = event_at(step);
  version.bytes(fields::event::file_version, "brain.Event:2");
  impl_->file.append(version.text());
  if (!options.purge_step) return;
  WireWriter start = event_at(step), log;
  log.integer(fields::session_log::status, fields::session_log::start);
  start.message(fields::event::session_log, log);
  impl_->file.append(start.text());
}

SummaryWriter::~SummaryWriter() = default;
SummaryWriter::SummaryWriter(SummaryWriter&&) noexcept = default;
SummaryWriter& SummaryWriter::operator=(SummaryWriter&&) noexcept = default;

SummaryWriter::Impl& SummaryWriter::open_file() {
  if (!impl_) throw std::logic_error("SummaryWriter: it is closed");
  return *impl_;
}

void SummaryWriter::add_scalar(std::string_view tag, double value, std::int64_t step) {
  WireWriter message = value_of(tag);
  message.real(fields::value::simple_value, static_cast<float>(value));
  open_file().add(message, step);
}

void SummaryWriter::add_image(std::string_view tag, const Tensor& image, std::int64_t step) {
  const Shape& shape = image.shape();
  const bool fits = image.defined() && shape.rank() == 4 && shape[0] == 1 && (shape[1] == 1 || shape[1] == 3) && shape.numel() > 0;
  if (!fits || (image.dtype() != DType::u8 && image.dtype() != DType::f32)) {
    throw std::invalid_argument(formatted("SummaryWriter::add_image: expected an image of u8 or f32 [1, 1 or 3, H, W], found {}",
                                          image.defined() ? shape.string() : "none"));
  }
  add_png(tag, report::png_of(report::picture_of(image.to(Device::cpu()), static_cast<int>(std::max(shape[2], shape[3])))), step);
}

void SummaryWriter::add_png(std::string_view tag, std::string_view png, std::int64_t step) {
  constexpr std::string_view kSignature("\x89PNG\r\n\x1a\n", 8);
  constexpr std::size_t kWidth = 16, kHeight = 20, kColourType = 25;  // where the first chunk has them
  if (!png.starts_with(kSignature) || png.size() <= kColourType)
    throw std::invalid_argument("SummaryWriter::add_png: expected a PNG file");
  WireWriter value = value_of(tag), image;
  image.integer(fields::image::height, number_at(png, kHeight));
  image.integer(fields::image::width, number_at(png, kWidth));
  image.integer(fields::image::colour_space, channels_of(static_cast<std::uint8_t>(png[kColourType])));
  image.bytes(fields::image::encoded, png);
  value.message(fields::value::image, image);
  open_file().add(value, step);
}

void SummaryWriter::add_histogram(std::string_view tag, const Tensor& values, std::int64_t step) {
  if (!values.defined() || values.dtype() != DType::f32)
    throw std::invalid_argument("SummaryWriter::add_histogram: expected f32 numbers");
  const tensorboard::Histogram counted = tensorboard::histogram_of(values.to_vector<float>());
  WireWriter value = value_of(tag), histogram;
  histogram.real64(fields::histogram::min, counted.min);
  histogram.real64(fields::histogram::max, counted.max);
  histogram.real64(fields::histogram::count, counted.count);
  histogram.real64(fields::histogram::sum, counted.sum);
  histogram.real64(fields::histogram::sum_of_squares, counted.sum_of_squares);
  histogram.reals64(fields::histogram::limits, counted.limits);
  histogram.reals64(fields::histogram::counts, counted.counts);
  value.message(fields::value::histogram, histogram);
  open_file().add(value, step);
}

void SummaryWriter::flush() { open_file().file.flush(); }

void SummaryWriter::close() { impl_.reset(); }

}  // namespace gpucnn
