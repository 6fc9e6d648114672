"""Memory for packed panels: kept between calls, without a lock, since calls of several threads run at once.

    take(bytes)    a block, 64-byte aligned; null if there is no memory
    give(block)    keeps it for the next one

Large blocks are aligned to huge pages, and ask for them: panels lie in many places at once.

Some slots hold blocks that nobody uses. Who takes one empties its slot, by an exchange; one that is too small
is freed for a larger one. In front of each block is how large it is.
"""

from __future__ import annotations

import mmap
import sys
from string import Template

from symgrad_compiler.backends.llvm.ir import Module
from symgrad_runtime.buffers import HUGE

TAKE, GIVE = "room_take", "room_give"
_SLOTS = 16


def emit_room(module: Module) -> None:
    """Both functions."""
    advice = getattr(mmap, "MADV_HUGEPAGE", 0) if sys.platform == "linux" else 0
    module.add_text(
        Template(_TEXT).substitute(
            SLOTS=_SLOTS, HUGE=HUGE, ADVICE=advice, ADVISE="true" if advice else "false"
        )
    )


_TEXT = """
@room_slots = internal global [$SLOTS x ptr] zeroinitializer, align 64
declare i32 @posix_memalign(ptr, i64, i64)
declare i32 @madvise(ptr, i64, i32)
declare void @free(ptr)

define internal ptr @room_take(i64 %bytes) noinline {
entry:
  %made = alloca ptr, align 8
  br label %look
look:
  %i = phi i64 [ 0, %entry ], [ %i1, %on ]
  %slot = getelementptr ptr, ptr @room_slots, i64 %i
  %found = atomicrmw xchg ptr %slot, ptr null acquire, align 8
  %some = icmp ne ptr %found, null
  br i1 %some, label %measure, label %on
measure:
  %size = load i64, ptr %found, align 8
  %enough = icmp uge i64 %size, %bytes
  br i1 %enough, label %take, label %small
take:
  %block = getelementptr i8, ptr %found, i64 64
  ret ptr %block
small:
  call void @free(ptr %found)
  br label %fresh
on:
  %i1 = add i64 %i, 1
  %more = icmp ult i64 %i1, $SLOTS
  br i1 %more, label %look, label %fresh
fresh:
  %eighth = lshr i64 %bytes, 3
  %extra = add i64 %eighth, 64
  %all = add i64 %bytes, %extra
  %large = icmp uge i64 %all, $HUGE
  %align = select i1 %large, i64 $HUGE, i64 64
  %status = call i32 @posix_memalign(ptr %made, i64 %align, i64 %all)
  %bad = icmp ne i32 %status, 0
  br i1 %bad, label %none, label %good
none:
  ret ptr null
good:
  %start = load ptr, ptr %made, align 8
  %advised = and i1 %large, $ADVISE
  br i1 %advised, label %advise, label %begin
advise:
  %ignored = call i32 @madvise(ptr %start, i64 %all, i32 $ADVICE)
  br label %begin
begin:
  %usable = sub i64 %all, 64
  store i64 %usable, ptr %start, align 8
  %first = getelementptr i8, ptr %start, i64 64
  ret ptr %first
}

define internal void @room_give(ptr %block) noinline {
entry:
  %start = getelementptr i8, ptr %block, i64 -64
  br label %look
look:
  %i = phi i64 [ 0, %entry ], [ %i1, %on ]
  %slot = getelementptr ptr, ptr @room_slots, i64 %i
  %pair = cmpxchg ptr %slot, ptr null, ptr %start release monotonic, align 8
  %put = extractvalue { ptr, i1 } %pair, 1
  br i1 %put, label %end, label %on
on:
  %i1 = add i64 %i, 1
  %more = icmp ult i64 %i1, $SLOTS
  br i1 %more, label %look, label %full
full:
  call void @free(ptr %start)
  br label %end
end:
  ret void
}
"""
