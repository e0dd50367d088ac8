#include <gpucnn/kernels/pool_rows/pool_2x2_row.h>

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "gpucnn/kernels/pool_rows/pool_2x2_row.cpp"
#include <hwy/foreach_target.h>

#include <gpucnn/kernels/pool_rows/pool_2x2_row-inl.h>

HWY_BEFORE_NAMESPACE();
namespace gpucnn::kernels::HWY_NAMESPACE {

void pooled_row(const cpu::Pool2x2Row& row) { largest_of_2x2_row(row); }

}  // namespace gpucnn::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace gpucnn::kernels {

HWY_EXPORT(pooled_row);

void cpu::pool_2x2_row(const Pool2x2Row& row) { HWY_DYNAMIC_DISPATCH(pooled_row)(row); }

}  // namespace gpucnn::kernels
#endif
