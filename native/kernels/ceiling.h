#pragma once

#include "kernels/kernels.h"

// What the hardware could do at most, to measure kernels by: multiply-adds in registers alone, with the instruction
// that the table of an instruction set uses; of the sets for bytes the one for them.
namespace inlay::kernels {

// GFLOP/s of the calling thread, the best of several rounds of about 20 ms together, in the thread's own CPU time: a
// busy machine does not look like a slow one. 0 where the build or the CPU lacks the instruction set.
double fma_ceiling_gflops(Isa isa);

}  // namespace inlay::kernels
