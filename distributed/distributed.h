#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include <gpucnn/core/export.h>
#include <gpucnn/core/tensor.h>

namespace gpucnn {

class Communicator;
class NcclCommunicator;

/// What an all-reduce makes of the ranks' values.
enum class Reduce { sum, max, min };

/// The processes of one run, its ranks: a handle whose copies mean the same run.
///
/// Collectives, the calls that all ranks make together, are those below from `all_reduce` on. All ranks call the same in the same
/// order, one thread at a time. Results are the same bits on every rank, and in every run with as many ranks in the same places.
///
/// A rank that dies, stops or lets others wait ends the run with one sentence that names it: see docs/scaling.md.
class GPUCNN_API Distributed {
 public:
  /// A run of one process.
  Distributed();

  /// Joins the run that mpirun or srun started; a run of one where neither did. Once a process. The run is left when the process
  /// exits, which waits for the other ranks. Throws `DeviceError` where MPI cannot do what is asked, and `Error` naming the rank
  /// that has another version of libgpucnn.
  static Distributed init(int argc, char** argv);

  int rank() const noexcept;
  int size() const noexcept;
  /// Among the ranks of this machine.
  int local_rank() const noexcept;
  int local_size() const noexcept;
  /// Whether this is rank 0, which alone prints and writes files.
  bool is_main() const noexcept { return rank() == 0; }

  /// This rank's own GPU: `cuda:local_rank`, or `cuda:0` where the launcher lets each rank see another one. Ranks call it together.
  /// Throws `DeviceError`, on every rank, if one cannot use its GPU, or there are fewer GPUs than ranks on its machine.
  Device gpu() const;

  /// Makes `values` the reduction of all ranks' values, of one shape and dtype: f32, i32 or i64. On a GPU it is queued there, as
  /// all that is done with tensors; the ranks' tensors then lie on GPUs of their own (`gpu`), and NCCL reduces them.
  void all_reduce(Tensor& values, Reduce reduce = Reduce::sum) const;
  void all_reduce(std::span<double> values, Reduce reduce = Reduce::sum) const;
  void all_reduce(std::span<std::int64_t> values, Reduce reduce = Reduce::sum) const;

  /// Makes `values`, of one shape and dtype on all ranks, those of `root`.
  void broadcast(Tensor& values, int root = 0) const;
  /// Makes `bytes`, as many on all ranks, those of `root`.
  void broadcast(std::span<std::byte> bytes, int root = 0) const;
  /// Returns the text of `root`.
  std::string broadcast(std::string text, int root = 0) const;

  /// The ranks' texts, in their order.
  std::vector<std::string> all_gather(const std::string& text) const;

  /// Returns when all ranks have come here.
  void barrier() const;

  /// Throws `Error`, on every rank, with one sentence that names the rank whose `value` differs from most: `what` is a noun, as
  /// "the option --batch-size".
  void require_same(std::string_view what, const std::string& value) const;

  /// A sum over the ranks that goes on beside other work. Meanwhile nobody may touch its values. Its destructor waits too.
  class GPUCNN_API Pending {
   public:
    Pending() noexcept;  ///< nothing to wait for
    Pending(Pending&& other) noexcept;
    Pending& operator=(Pending&& other) noexcept;
    ~Pending();
    /// Returns when the values are the sums.
    void wait();

   private:
    friend class Distributed;
    class Work;
    explicit Pending(std::unique_ptr<Work> work);
    std::unique_ptr<Work> work_;  // null: nothing to wait for
  };

  /// Begins an `all_reduce`. It keeps a handle of `values`. On a GPU nobody waits: `wait` lets what is queued later wait there.
  Pending begin_all_reduce(Tensor values) const;
  Pending begin_all_reduce(std::span<double> values) const;

  /// While one lives, the other ranks wait for this one as long as it takes. Without it a rank that lets others wait for 20 s ends
  /// the run, because it is thought to hang: a report that one rank writes alone is a long task, or the download of a dataset.
  class GPUCNN_API LongTask {
   public:
    ~LongTask();
    LongTask(const LongTask&) = delete;
    LongTask& operator=(const LongTask&) = delete;

   private:
    friend class Distributed;
    explicit LongTask(std::shared_ptr<Communicator> communicator);
    std::shared_ptr<Communicator> communicator_;
  };
  [[nodiscard]] LongTask long_task() const { return LongTask(communicator_); }

  /// Call this where the program has said why this rank fails, and then exit. If others wait for it, the run ends with its exit
  /// code and without a second sentence.
  void end_silently() const noexcept;

 private:
  friend std::shared_ptr<NcclCommunicator> nccl_communicator(const Distributed& distributed, Device device);
  explicit Distributed(std::shared_ptr<Communicator> communicator);
  std::shared_ptr<Communicator> communicator_;
};

}  // namespace gpucnn
