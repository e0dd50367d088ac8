#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include <gpucnn/core/tensor.h>
#include <gpucnn/data/batch_part.h>
#include <gpucnn/data/image/reader_group.h>

/// What a process tells those that read a folder with it. A null group is a process that reads alone.
namespace gpucnn {

/// Runs `work` on all of them. If it throws on one, this throws on all.
void read_together(const ReaderGroup* group, const std::function<void()>& work);

/// The part of N images that this process decodes.
BatchPart own_part(const ReaderGroup* group);

/// The part of these numbers of images that this process decodes.
std::span<const std::int64_t> own_numbers(const ReaderGroup* group, std::span<const std::int64_t> numbers);

/// The texts of all, by rank.
std::vector<std::string> gather_texts(const ReaderGroup* group, const std::string& text);

/// Throws `std::invalid_argument` on all unless `text` is the same on all: `what` is a noun in the plural.
void require_same_texts(const ReaderGroup* group, std::string_view what, const std::string& text);

/// Gives all the images [N, …] of which each has its own part.
void share_images(const ReaderGroup* group, Tensor& images);

/// Texts without a 0 byte as one, and back.
std::string pack_texts(std::span<const std::string> texts);
std::vector<std::string> unpack_texts(std::string_view packed);

}  // namespace gpucnn
