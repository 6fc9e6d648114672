"""The thread pool, in native code: one for the whole process, made with the entry.

    parallel(pool, fn, frame, places, total, unit, work, scratch)

calls `fn(frame, places, own, start, stop)` on pieces of range(total), whole multiples of `unit` but for the
last, until all is done. Pieces are claimed from an atomic counter, by the caller too: it never waits for a
worker that has not started, only for those that are inside a piece. `own` is `scratch` bytes of the thread
that runs the piece, null in the caller. What is too small to gain (`work`, in simple operations), or comes
while another thread uses the pool, is done by the caller alone. Results must not depend on the pieces.

A job is posted by writing its words, opening it and counting up the generation. A worker enters by counting
`active` up and then looking whether the job is (still) open; the caller leaves by closing the job and then
waiting until nobody is active. Both orders are sequentially consistent, so one of the two sees the other.
Who waits, spins for some hundred microseconds and then sleeps: a sleeping caller leaves its core to a worker
that another process has pushed off its own.
"""

from __future__ import annotations

import signal
from string import Template

from symgrad_compiler.backends.llvm.ir import Module
from symgrad_runtime import threads

#: Work from which threads gain, and the least work of a piece: some tens of microseconds, and some.
SPLIT_FROM, LEAST_PIECE = 400_000, 100_000
#: Pieces for each thread, so that one that is held up does little harm.
PIECES = 8
_STACK = 4 * 1024 * 1024
_ALIGN = 64

#: What tells the processor that a loop waits: a declaration and a call.
_YIELD = ("declare void @llvm.aarch64.hint(i32)", "call void @llvm.aarch64.hint(i32 1)")
_PAUSES = {
    "x86_64": ("declare void @llvm.x86.sse2.pause()", "call void @llvm.x86.sse2.pause()"),
    "aarch64": _YIELD,
    "arm64": _YIELD,
}


def emit_pool(module: Module, triple: str) -> None:
    """Add the functions of the pool."""
    declaration, pause = _PAUSES.get(triple.partition("-")[0], ("", ""))
    module.declare(declaration)
    numbers = {name: value for name, value in vars(threads).items() if isinstance(value, int)}
    text = Template(_TEXT).substitute(
        numbers,
        SPLIT_FROM=SPLIT_FROM,
        LEAST_PIECE=LEAST_PIECE,
        PIECES=PIECES,
        STACK=_STACK,
        ALIGN=_ALIGN,
        BLOCK=int(signal.SIG_BLOCK),
        SETMASK=int(signal.SIG_SETMASK),
        PAUSE=pause,
    )
    module.add_text(text)


_TEXT = """
declare i32 @pthread_create(ptr, ptr, ptr, ptr)
declare i32 @pthread_attr_init(ptr)
declare i32 @pthread_attr_destroy(ptr)
declare i32 @pthread_attr_setstacksize(ptr, i64)
declare i32 @pthread_mutex_init(ptr, ptr)
declare i32 @pthread_mutex_lock(ptr)
declare i32 @pthread_mutex_unlock(ptr)
declare i32 @pthread_cond_init(ptr, ptr)
declare i32 @pthread_cond_wait(ptr, ptr)
declare i32 @pthread_cond_broadcast(ptr)
declare i32 @pthread_detach(i64)
declare i32 @pthread_sigmask(i32, ptr, ptr)
declare i32 @posix_memalign(ptr, i64, i64)
declare void @free(ptr)

define void @pool_init(ptr %pool, ptr %api) {
  %lock = getelementptr i8, ptr %pool, i64 $LOCK
  %wake = getelementptr i8, ptr %pool, i64 $WAKE
  %done = getelementptr i8, ptr %pool, i64 $DONE
  %a = call i32 @pthread_mutex_init(ptr %lock, ptr null)
  %b = call i32 @pthread_cond_init(ptr %wake, ptr null)
  %c = call i32 @pthread_cond_init(ptr %done, ptr null)
  %place = getelementptr i8, ptr %pool, i64 $PARALLEL
  store ptr @parallel, ptr %place, align 8
  %attend = getelementptr i8, ptr %pool, i64 $ATTEND
  store ptr @attend, ptr %attend, align 8
  %table = getelementptr i8, ptr %pool, i64 $API
  store ptr %api, ptr %table, align 8
  ret void
}

; ---- pieces of the job that is open, until none is left

define internal void @pool_claim(ptr %pool, ptr %own) {
entry:
  %job = getelementptr i8, ptr %pool, i64 $JOB
  %fn = load ptr, ptr %job, align 8
  %p1 = getelementptr i8, ptr %job, i64 8
  %frame = load ptr, ptr %p1, align 8
  %p2 = getelementptr i8, ptr %job, i64 16
  %places = load ptr, ptr %p2, align 8
  %p3 = getelementptr i8, ptr %job, i64 24
  %total = load i64, ptr %p3, align 8
  %p4 = getelementptr i8, ptr %job, i64 32
  %grain = load i64, ptr %p4, align 8
  %next = getelementptr i8, ptr %pool, i64 $NEXT
  br label %claim
claim:
  %start = atomicrmw add ptr %next, i64 %grain monotonic, align 8
  %some = icmp slt i64 %start, %total
  br i1 %some, label %run, label %end
run:
  %further = add i64 %start, %grain
  %less = icmp slt i64 %further, %total
  %stop = select i1 %less, i64 %further, i64 %total
  call void %fn(ptr %frame, ptr %places, ptr %own, i64 %start, i64 %stop)
  br label %claim
end:
  ret void
}

; ---- a worker

define internal ptr @pool_worker(ptr %pool) {
entry:
  %room = alloca ptr, align 8
  store ptr null, ptr %room, align 8
  %started = getelementptr i8, ptr %pool, i64 $STARTED
  %number = atomicrmw add ptr %started, i32 1 seq_cst, align 4
  %generation = getelementptr i8, ptr %pool, i64 $GENERATION
  %open = getelementptr i8, ptr %pool, i64 $OPEN
  %active = getelementptr i8, ptr %pool, i64 $ACTIVE
  %sleepers = getelementptr i8, ptr %pool, i64 $SLEEPERS
  %waiting = getelementptr i8, ptr %pool, i64 $WAITING
  %limit = getelementptr i8, ptr %pool, i64 $THREADS
  %patience = getelementptr i8, ptr %pool, i64 $SPIN
  %lock = getelementptr i8, ptr %pool, i64 $LOCK
  %wake = getelementptr i8, ptr %pool, i64 $WAKE
  %done = getelementptr i8, ptr %pool, i64 $DONE
  %bytes = getelementptr i8, ptr %pool, i64 $BYTES
  br label %wait
wait:
  %seen = phi i32 [ 0, %entry ], [ %now, %idle ], [ %now, %left ], [ %now, %told ]
  %have = phi i64 [ 0, %entry ], [ %have, %idle ], [ %held, %left ], [ %held, %told ]
  %rounds = load i32, ptr %patience, align 4
  br label %spin
spin:
  %k = phi i32 [ 0, %wait ], [ %k1, %again ]
  %found = load atomic i32, ptr %generation acquire, align 4
  %new = icmp ne i32 %found, %seen
  br i1 %new, label %go, label %again
again:
  $PAUSE
  %k1 = add i32 %k, 1
  %more = icmp ult i32 %k1, %rounds
  br i1 %more, label %spin, label %sleep
sleep:
  %l = call i32 @pthread_mutex_lock(ptr %lock)
  %s = atomicrmw add ptr %sleepers, i32 1 seq_cst, align 4
  br label %asleep
asleep:
  %woken = load atomic i32, ptr %generation seq_cst, align 4
  %changed = icmp ne i32 %woken, %seen
  br i1 %changed, label %awake, label %still
still:
  %w = call i32 @pthread_cond_wait(ptr %wake, ptr %lock)
  br label %asleep
awake:
  %t = atomicrmw sub ptr %sleepers, i32 1 seq_cst, align 4
  %u = call i32 @pthread_mutex_unlock(ptr %lock)
  br label %go
go:
  %now = phi i32 [ %found, %spin ], [ %woken, %awake ]
  %threads = load atomic i32, ptr %limit monotonic, align 4
  %after = add i32 %number, 1
  %wanted = icmp slt i32 %after, %threads
  br i1 %wanted, label %enter, label %idle
idle:
  br label %wait
enter:
  %e = atomicrmw add ptr %active, i32 1 seq_cst, align 4
  %is_open = load atomic i32, ptr %open seq_cst, align 4
  %in = icmp ne i32 %is_open, 0
  br i1 %in, label %scratch, label %leave
scratch:
  %need = load i64, ptr %bytes, align 8
  %enough = icmp sge i64 %have, %need
  br i1 %enough, label %work, label %grow
grow:
  %old = load ptr, ptr %room, align 8
  call void @free(ptr %old)
  store ptr null, ptr %room, align 8
  %failed = call i32 @posix_memalign(ptr %room, i64 $ALIGN, i64 %need)
  %none = icmp ne i32 %failed, 0
  br i1 %none, label %poor, label %work
poor:
  store ptr null, ptr %room, align 8
  br label %leave
work:
  %kept = phi i64 [ %have, %scratch ], [ %need, %grow ]
  %own = load ptr, ptr %room, align 8
  call void @pool_claim(ptr %pool, ptr %own)
  br label %leave
leave:
  %held = phi i64 [ %have, %enter ], [ 0, %poor ], [ %kept, %work ]
  %before = atomicrmw sub ptr %active, i32 1 seq_cst, align 4
  %last = icmp eq i32 %before, 1
  br i1 %last, label %ask, label %left
left:
  br label %wait
ask:
  %sleeping = load atomic i32, ptr %waiting seq_cst, align 4
  %must = icmp ne i32 %sleeping, 0
  br i1 %must, label %tell, label %told
tell:
  %m = call i32 @pthread_mutex_lock(ptr %lock)
  %n = call i32 @pthread_cond_broadcast(ptr %done)
  %o = call i32 @pthread_mutex_unlock(ptr %lock)
  br label %told
told:
  br label %wait
}

; ---- start the workers that are missing; all signals are left to the threads of Python

define internal void @pool_grow(ptr %pool, i32 %threads) noinline {
entry:
  %thread = alloca i64, align 8
  %attributes = alloca [16 x i64], align 16
  %all = alloca [16 x i64], align 16
  %saved = alloca [16 x i64], align 16
  call void @llvm.memset.p0.i64(ptr %all, i8 -1, i64 128, i1 false)
  %block = call i32 @pthread_sigmask(i32 $BLOCK, ptr %all, ptr %saved)
  %made = getelementptr i8, ptr %pool, i64 $MADE
  %i = call i32 @pthread_attr_init(ptr %attributes)
  %z = call i32 @pthread_attr_setstacksize(ptr %attributes, i64 $STACK)
  br label %loop
loop:
  %count = load i32, ptr %made, align 4
  %one = add i32 %count, 1
  %missing = icmp slt i32 %one, %threads
  br i1 %missing, label %make, label %end
make:
  %failed = call i32 @pthread_create(ptr %thread, ptr %attributes, ptr @pool_worker, ptr %pool)
  %bad = icmp ne i32 %failed, 0
  br i1 %bad, label %end, label %good
good:
  %id = load i64, ptr %thread, align 8
  %d = call i32 @pthread_detach(i64 %id)
  store i32 %one, ptr %made, align 4
  br label %loop
end:
  %x = call i32 @pthread_attr_destroy(ptr %attributes)
  %restore = call i32 @pthread_sigmask(i32 $SETMASK, ptr %saved, ptr null)
  ret void
}
declare void @llvm.memset.p0.i64(ptr, i8, i64, i1 immarg)

; ---- the caller

define void @parallel(ptr %pool, ptr %fn, ptr %frame, ptr %places,
                      i64 %total, i64 %unit, i64 %work, i64 %scratch) {
entry:
  %limit = getelementptr i8, ptr %pool, i64 $THREADS
  %threads = load atomic i32, ptr %limit monotonic, align 4
  %several = icmp sgt i32 %threads, 1
  %worth = icmp sge i64 %work, $SPLIT_FROM
  %both = and i1 %several, %worth
  %divisible = icmp sgt i64 %total, %unit
  %yes = and i1 %both, %divisible
  br i1 %yes, label %try, label %alone
try:
  %busy = getelementptr i8, ptr %pool, i64 $BUSY
  %pair = cmpxchg ptr %busy, i32 0, i32 1 seq_cst monotonic
  %mine = extractvalue { i32, i1 } %pair, 1
  br i1 %mine, label %staff, label %alone
alone:
  call void %fn(ptr %frame, ptr %places, ptr null, i64 0, i64 %total)
  ret void
staff:
  %made = getelementptr i8, ptr %pool, i64 $MADE
  %count = load i32, ptr %made, align 4
  %with = add i32 %count, 1
  %few = icmp slt i32 %with, %threads
  br i1 %few, label %hire, label %post
hire:
  call void @pool_grow(ptr %pool, i32 %threads)
  br label %post
post:
  ; a piece: total / (threads PIECES), and at least LEAST_PIECE of work, in whole units
  %wide = sext i32 %threads to i64
  %pieces = mul i64 %wide, $PIECES
  %even = udiv i64 %total, %pieces
  %ratio = udiv i64 %work, $LEAST_PIECE
  %ratio1 = call i64 @llvm.smax.i64(i64 %ratio, i64 1)
  %least = udiv i64 %total, %ratio1
  %larger = call i64 @llvm.smax.i64(i64 %even, i64 %least)
  %up0 = add i64 %larger, %unit
  %up1 = sub i64 %up0, 1
  %units = udiv i64 %up1, %unit
  %units1 = call i64 @llvm.smax.i64(i64 %units, i64 1)
  %grain = mul i64 %units1, %unit
  %job = getelementptr i8, ptr %pool, i64 $JOB
  store ptr %fn, ptr %job, align 8
  %p1 = getelementptr i8, ptr %job, i64 8
  store ptr %frame, ptr %p1, align 8
  %p2 = getelementptr i8, ptr %job, i64 16
  store ptr %places, ptr %p2, align 8
  %p3 = getelementptr i8, ptr %job, i64 24
  store i64 %total, ptr %p3, align 8
  %p4 = getelementptr i8, ptr %job, i64 32
  store i64 %grain, ptr %p4, align 8
  %bytes = getelementptr i8, ptr %pool, i64 $BYTES
  store i64 %scratch, ptr %bytes, align 8
  %next = getelementptr i8, ptr %pool, i64 $NEXT
  store atomic i64 0, ptr %next monotonic, align 8
  %open = getelementptr i8, ptr %pool, i64 $OPEN
  store atomic i32 1, ptr %open seq_cst, align 4
  %generation = getelementptr i8, ptr %pool, i64 $GENERATION
  %g = atomicrmw add ptr %generation, i32 1 seq_cst, align 4
  %sleepers = getelementptr i8, ptr %pool, i64 $SLEEPERS
  %asleep = load atomic i32, ptr %sleepers seq_cst, align 4
  %lock = getelementptr i8, ptr %pool, i64 $LOCK
  %any = icmp sgt i32 %asleep, 0
  br i1 %any, label %rouse, label %join
rouse:
  %wake = getelementptr i8, ptr %pool, i64 $WAKE
  %m = call i32 @pthread_mutex_lock(ptr %lock)
  %n = call i32 @pthread_cond_broadcast(ptr %wake)
  %o = call i32 @pthread_mutex_unlock(ptr %lock)
  br label %join
join:
  call void @pool_claim(ptr %pool, ptr null)
  store atomic i32 0, ptr %open seq_cst, align 4
  %active = getelementptr i8, ptr %pool, i64 $ACTIVE
  %patience = getelementptr i8, ptr %pool, i64 $SPIN
  %rounds = load i32, ptr %patience, align 4
  br label %spin
spin:
  %k = phi i32 [ 0, %join ], [ %k1, %again ]
  %inside = load atomic i32, ptr %active seq_cst, align 4
  %empty = icmp eq i32 %inside, 0
  br i1 %empty, label %end, label %again
again:
  $PAUSE
  %k1 = add i32 %k, 1
  %more = icmp ult i32 %k1, %rounds
  br i1 %more, label %spin, label %sleep
sleep:
  %waiting = getelementptr i8, ptr %pool, i64 $WAITING
  %done = getelementptr i8, ptr %pool, i64 $DONE
  %q = call i32 @pthread_mutex_lock(ptr %lock)
  store atomic i32 1, ptr %waiting seq_cst, align 4
  br label %look
look:
  %left = load atomic i32, ptr %active seq_cst, align 4
  %gone = icmp eq i32 %left, 0
  br i1 %gone, label %up, label %still
still:
  %r = call i32 @pthread_cond_wait(ptr %done, ptr %lock)
  br label %look
up:
  store atomic i32 0, ptr %waiting seq_cst, align 4
  %t = call i32 @pthread_mutex_unlock(ptr %lock)
  br label %end
end:
  store atomic i32 0, ptr %busy seq_cst, align 4
  ret void
}
declare i64 @llvm.smax.i64(i64, i64)
"""
