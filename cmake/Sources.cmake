# Every file of the library, by folder and name. A name stands for all files that it has: name.h, name-inl.h, name.cpp, name.cu.
# What is not named here is not compiled, and a header that is not public cannot be included by users.
#
# Sets GPUCNN_PUBLIC_HEADERS, GPUCNN_PRIVATE_HEADERS, GPUCNN_SOURCES, GPUCNN_HIGHWAY_SOURCES (compiled once per instruction set),
# GPUCNN_CUDA_HEADERS, GPUCNN_CUDA_SOURCES and GPUCNN_CU_SOURCES (with CUDA only), GPUCNN_CPU_ONLY_SOURCES (without CUDA only),
# GPUCNN_OTHER_FILES (not in this build).
set(gpucnn_lists PUBLIC_HEADERS PRIVATE_HEADERS SOURCES HIGHWAY_SOURCES CUDA_HEADERS CUDA_SOURCES CU_SOURCES CPU_ONLY_SOURCES OTHER_FILES)
foreach(list IN LISTS gpucnn_lists)
  set(GPUCNN_${list})
endforeach()

# gpucnn_add_file(FILE HEADERS SOURCES CU_SOURCES): FILE, if it is there, to the list of its kind. Sets gpucnn_found if so.
macro(gpucnn_add_file file headers sources cu_sources)
  if(EXISTS "${PROJECT_SOURCE_DIR}/${file}")
    set(gpucnn_found TRUE)
    if("${file}" MATCHES "\\.h$")
      list(APPEND GPUCNN_${headers} "${file}")
    elseif("${file}" MATCHES "\\.cu$")
      list(APPEND GPUCNN_${cu_sources} "${file}")
    else()
      file(STRINGS "${PROJECT_SOURCE_DIR}/${file}" gpucnn_highway REGEX "define HWY_TARGET_INCLUDE")
      if(gpucnn_highway)
        list(APPEND GPUCNN_HIGHWAY_SOURCES "${file}")
      else()
        list(APPEND GPUCNN_${sources} "${file}")
      endif()
    endif()
  endif()
endmacro()

# gpucnn_files(FOLDER [PUBLIC NAME...] [PRIVATE NAME...] [CUDA NAME...] [CPU_ONLY NAME...] [OTHERS NAME...]): the files of FOLDER by these
# names. The headers of PUBLIC are public. CUDA: in builds with CUDA only. CPU_ONLY: in builds without it. OTHERS: in other builds only.
macro(gpucnn_files folder)
  cmake_parse_arguments(FILES "" "" "PUBLIC;PRIVATE;CUDA;CPU_ONLY;OTHERS" ${ARGN})
  foreach(kind IN ITEMS PUBLIC PRIVATE CUDA CPU_ONLY OTHERS)
    foreach(name IN LISTS FILES_${kind})
      set(gpucnn_found FALSE)
      foreach(suffix IN ITEMS .h -inl.h .cpp .cu)
        if(kind STREQUAL "CUDA")
          gpucnn_add_file("${folder}/${name}${suffix}" CUDA_HEADERS CUDA_SOURCES CU_SOURCES)
        elseif(kind STREQUAL "OTHERS")
          gpucnn_add_file("${folder}/${name}${suffix}" OTHER_FILES OTHER_FILES OTHER_FILES)
        elseif(kind STREQUAL "CPU_ONLY")
          gpucnn_add_file("${folder}/${name}${suffix}" PRIVATE_HEADERS CPU_ONLY_SOURCES CU_SOURCES)
        else()
          gpucnn_add_file("${folder}/${name}${suffix}" ${kind}_HEADERS SOURCES CU_SOURCES)
        endif()
      endforeach()
      if(NOT gpucnn_found)
        message(FATAL_ERROR "cmake/Sources.cmake names ${folder}/${name}, but no such file is there")
      endif()
    endforeach()
  endforeach()
endmacro()

# gpucnn_ops(FAMILY OP...): operations of kernels/FAMILY. OP.h is public; OP.cpp, the twins OP_cpu.cpp and OP.cu come with it.
macro(gpucnn_ops family)
  foreach(op IN ITEMS ${ARGN})
    gpucnn_files(kernels/${family} PUBLIC ${op})
    if(EXISTS "${PROJECT_SOURCE_DIR}/kernels/${family}/${op}_cpu.cpp")
      gpucnn_files(kernels/${family} PRIVATE ${op}_cpu)
    endif()
  endforeach()
endmacro()

gpucnn_files(core
  PUBLIC bf16 device dtype error export parameter precision random shape state_dict stream tensor
  PRIVATE backend random_uniforms state_entry)
gpucnn_files(core/memory PUBLIC allocator PRIVATE host_vector layout memory_plan)
gpucnn_files(core/text PUBLIC near_name printable PRIVATE class_name formatted in_quotes name_list prefix_hint)
gpucnn_files(core/host PRIVATE bf16_instructions host_memory host_name input_file processors retry CPU_ONLY backend_cpu)
gpucnn_files(core/threads
  PUBLIC parallel threads
  PRIVATE float_environment flush_subnormals fork_safe_mutex preempted_thread signals_blocked thread_team works_alone)
gpucnn_files(core/gpu
  CUDA add backend_cuda dependent_launch dynamic_shared gpu_probe graph_capture launch nvtx_range probe probe_kernel queue shared_library
       step_report step_state)
gpucnn_files(core/gpu/warp CUDA async_copy ldmatrix mma packed_bf16)

gpucnn_files(kernels/common
  PUBLIC size2
  PRIVATE all_finite axis check clear_gradient declare_twins dispatch host_device seen_values shard_sums shards window_count)
gpucnn_files(kernels/simd PRIVATE bf16 lanes max_abs prefetch some_lanes streamed transpose vector_size vectors)
gpucnn_files(kernels/cuda CUDA block_reduce compensated divisor loss_parts rounded_store slice_sums slice_total step_end step_tail vector_access)
gpucnn_files(kernels/vendor CUDA cublaslt cudnn)

gpucnn_ops(activation activation dropout)
gpucnn_files(kernels/activation PRIVATE activation_block functors functors_cpu twins CUDA dropout_mask functors_cuda)
gpucnn_ops(augment color_jitter cutout mix)
gpucnn_files(kernels/augment
  PUBLIC batch_position color_jitter_options mix_options
  PRIVATE augment_stream box check_augment color_factors color_formula cutout_square mixture twins
  CUDA step_position)
gpucnn_ops(clip clip_grad)
gpucnn_files(kernels/clip PRIVATE norm_formula twins)
gpucnn_ops(combine add channels)
gpucnn_files(kernels/combine PRIVATE twins)
gpucnn_ops(conv conv2d)
gpucnn_files(kernels/conv
  PUBLIC conv2d_options padding2d
  PRIVATE conv2d_direct conv2d_impl
  CUDA bias_grad conv2d_cudnn conv2d_cudnn_graph conv2d_fallback conv2d_implicit_gemm conv2d_weight_grad implicit_gemm)
gpucnn_files(kernels/conv2d_gemm
  PRIVATE add_windows conv2d_gemm correlation correlator input_window packed_weights pixel_tasks scattered_gradient weight_gradient)
set(with_onednn PRIVATE)
set(without_onednn OTHERS)
if(NOT GPUCNN_WITH_ONEDNN)
  set(with_onednn OTHERS)
  set(without_onednn PRIVATE)
endif()
gpucnn_files(kernels/vendor ${with_onednn} onednn onednn_use)
gpucnn_files(kernels/conv2d_onednn
  ${with_onednn} conv2d_onednn faster_by_onednn gathered_conv2d onednn_convolution pixel_gather sharded_primitive
  ${without_onednn} no_onednn)
gpucnn_files(kernels/depthwise PRIVATE channels correlate_row depthwise_conv2d packed_taps rows weight_products)
gpucnn_ops(copy cast flatten labels)
gpucnn_files(kernels/copy PRIVATE round_to_bf16 transpose transpose_cpu twins)
gpucnn_files(kernels/fused
  PRIVATE bands conv2d_relu_pool conv2d_relu_pool_backward_cpu conv2d_relu_pool_cpu conv2d_relu_pool_cuda conv2d_relu_pool_forward_cpu
          conv2d_relu_pool_weights_cpu data_grad direct_conv pooled_conv relu_pool_epilogue weight_grad weight_grad_few_channels winograd
  CUDA conv2d_relu_pool_backward conv2d_relu_pool_forward conv2d_relu_pool_tensor_cores dweight_slices dweight_tensor_cores pooled_gradients tensor_tile tile_input unpooled_dy window_tile)
gpucnn_files(kernels/gemm PRIVATE gemm_panel pixel_products term_products)
gpucnn_files(kernels/head PRIVATE linear_head linear_head_pass)
gpucnn_ops(image image_batch)
gpucnn_files(kernels/image
  PUBLIC image_transform random_resized_crop_options
  PRIVATE check_crop indices mirrored ordered_batch resized_crop twins
  CUDA batch_source)
gpucnn_ops(linear linear)
gpucnn_files(kernels/linear PRIVATE gemm linear_impl output_panels packed_panels sparse_rows
             CUDA gemm_arithmetic gemm_parts gemm_tile linear_backward_slices linear_cublas linear_forward_slices linear_slices)
gpucnn_ops(loss cross_entropy elementwise_loss softmax softmax_cross_entropy)
gpucnn_files(kernels/loss PUBLIC reduction PRIVATE elementwise_formula softmax_row twins CUDA row_fours softmax_warp)
gpucnn_ops(metrics argmax count_correct)
gpucnn_files(kernels/metrics PRIVATE twins CUDA argmax_warp)
gpucnn_ops(muon muon newton_schulz)
gpucnn_files(kernels/muon PRIVATE twins)
gpucnn_ops(norm batch_norm2d fold_norm group_norm)
gpucnn_files(kernels/norm PUBLIC norm_epilogue PRIVATE batch_parts norm_rows norm_sums normalize normalize_cpu statistics_formula twins CUDA norm_division)
gpucnn_ops(optim adam moving_average rmsprop sgd)
gpucnn_files(kernels/optim PRIVATE average_formula flushed_update integer_power parallel_update twins CUDA adam_tail adam_update)
gpucnn_ops(pool adaptive_pool2d avg_pool2d max_pool2d upsample_nearest2d)
gpucnn_files(kernels/pool PUBLIC pool2d_options PRIVATE max_pool2d_backward_cpu pool_shape pool_windows twins window_pool window_pool_cpu
             CUDA best max_pool2d_3x3 pixels)
gpucnn_files(kernels/pool_rows PRIVATE argmax for_rows pool_2x2_row)
gpucnn_files(kernels/separable PRIVATE separable_conv2d)
gpucnn_files(kernels/winograd5x5 PRIVATE tile_grid transforms5x5 winograd5x5 winograd5x5_weight_grad)
gpucnn_files(kernels/winograd PRIVATE filter_range output_transforms pack_weights patch_layout patch_transforms tap_products tile_products weight_grad_chunk weight_grad_products winograd_conv
             winograd_split winograd_tiles winograd_weight_grad)

gpucnn_files(layers/module PUBLIC context members module plan_cache PRIVATE calls clone hooks module_root module_state module_tree parts step_ends summary_table training_mode)
gpucnn_files(layers/graph PUBLIC graph_builder model_graph op PRIVATE fold_batch_norm)
gpucnn_files(layers PUBLIC conv2d dropout dropout2d flatten functional grad_cam gradcheck identity linear)
gpucnn_files(layers/containers PUBLIC child child_list concat residual residual_block sequential)
gpucnn_files(layers/pool PUBLIC max_pool2d adaptive_pool2d avg_pool2d upsample)
gpucnn_files(layers/norm PUBLIC batch_norm2d group_norm)
gpucnn_files(layers/activation PUBLIC activation_layer gelu hardswish leaky_relu mul relu relu6 sigmoid silu softmax tanh)
gpucnn_files(layers/fusion PRIVATE activation_epilogue batch_norm conv_batch_norm conv_relu_pool fuse image_groups image_wise linear_head linear_relu_dropout pattern relu_pool separable_conv single_layer stage)
gpucnn_files(layers/losses PUBLIC bce_with_logits_loss cross_entropy_loss device_copies elementwise_loss l1_loss loss mse_loss smooth_l1_loss)
gpucnn_files(models PUBLIC lenet5 make_model resnet resnet9 simple_cnn vgg PRIVATE fan_out_conv image_shape residual_blocks)
gpucnn_files(optim PUBLIC adam adamw clip_grad muon optimizer parameter_group rmsprop sgd PRIVATE adam_step option_rules orthogonalizer)
gpucnn_files(optim/schedules
  PUBLIC constant_lr cosine_annealing_lr cosine_annealing_warm_restarts exponential_lr lambda_lr linear_lr lr_scheduler one_cycle_lr
         polynomial_lr reduce_lr_on_plateau sequential_lr step_lr)
gpucnn_files(data
  PUBLIC batch batch_part data_loader dataset dataset_splits normalize shapes tensor_dataset
  PRIVATE augment_rules deflate_ratio mixed_batch prefetcher)
gpucnn_files(data/image
  PUBLIC decode_image image_folder reader_group resize_image
  PRIVATE decoders exif_orientation image_files image_reader jpeg_decoder pixels png_decoder resized_pixels shared_reading)
gpucnn_files(data/files
  PUBLIC cifar10 cifar100 idx mnist open_dataset
  PRIVATE cifar_records idx_file is_folder open_image_folder pixel_statistics unpacked_file)
gpucnn_files(data/sampling PUBLIC concat_dataset random_split subset weighted_random_sampler PRIVATE shuffle weighted_order)
gpucnn_files(io
  PUBLIC atomic_file export_c export_onnx import_onnx load_model safetensors
  PRIVATE json_list metadata_fields model_metadata)
gpucnn_files(io/safetensors PRIVATE file foreign_file header shard_index shards stored_type tensor_data)
gpucnn_files(io/c_source PRIVATE buffer_plan c_functions c_network c_text)
gpucnn_files(io/protobuf PRIVATE wire_reader wire_types wire_writer)
gpucnn_files(io/onnx PRIVATE fields graph_writer operations pools)
gpucnn_files(io/onnx/import
  PRIVATE expression functions graph_constants graph_reader layer_of messages names network_of part_list read_layers read_pointwise read_pools read_shapes
          symbols transposed)
set(with_mpi PRIVATE)
if(NOT GPUCNN_WITH_MPI)
  set(with_mpi OTHERS)
endif()
gpucnn_files(distributed PUBLIC distributed sync_batch_norm PRIVATE alone communicator gpu_collectives init launcher neighbours watch)
gpucnn_files(distributed/nccl CUDA gpu_collectives nccl nccl_communicator nccl_watch own_gpu)
gpucnn_files(distributed/mpi ${with_mpi} heartbeat join_mpi mpi_request mpi_thread)
gpucnn_files(train
  PUBLIC checkpoint exponential_moving_average fit metrics parameter_update run_position train_step trainer
  PRIVATE evaluator judge loss_end run_state trainer_impl)
gpucnn_files(train/parallel PUBLIC broadcast_run join_readers PRIVATE batch_sums gradient_buckets joined_step)
gpucnn_files(train/report PUBLIC examination heat_map_png run_report PRIVATE first_filters html_text line_chart picture style)
gpucnn_files(train/tensorboard PUBLIC add_epoch summary_writer PRIVATE crc32c event_fields histogram record_file)
gpucnn_files(train/captured
  CUDA captured_evaluator captured_step captured_trainer epoch_order gpu_batches joined_gpu_step joined_step_kernels step_reports step_state_kernels step_state_mirror)

# <gpucnn/gpucnn.h> includes everything public.
list(SORT GPUCNN_PUBLIC_HEADERS)
list(TRANSFORM GPUCNN_PUBLIC_HEADERS REPLACE "(.+)" "#include <gpucnn/\\1>" OUTPUT_VARIABLE includes)
list(JOIN includes "\n" includes)
file(CONFIGURE OUTPUT "${PROJECT_BINARY_DIR}/include/gpucnn/gpucnn.h" @ONLY
     CONTENT "#pragma once\n\n/// Everything public of libgpucnn.\n@includes@\n")

# For the test house.rules: every file and its list.
set(lines "")
foreach(list IN LISTS gpucnn_lists)
  foreach(file IN LISTS GPUCNN_${list})
    string(APPEND lines "${list} ${file}\n")
  endforeach()
endforeach()
file(WRITE "${PROJECT_BINARY_DIR}/sources.txt" "${lines}")
