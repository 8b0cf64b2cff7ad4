// A request's steps as the ring sees them: which of them may be handed over together, and how each becomes a submission
// entry. Knows nothing of queues and completions (see UringDriver).
internal import CLinux
internal import CUring
internal import Glibc

extension FileRequest.Link {
  var entryFlags: UInt32 {
    switch self {
    case .onSuccess: 1 << UInt32(IOSQE_IO_LINK_BIT)
    case .always: 1 << UInt32(IOSQE_IO_HARDLINK_BIT)
    }
  }
}

extension FileRequest.Kind {
  /// Whether the kernel cancels what hangs on this kind when it fails.
  var failureStopsChain: Bool {
    switch self {
    case .openAt, .read, .write, .close: true
    case .sync, .rename, .status, .makeDirectory, .unlink, .setAttribute: false
    }
  }

  var opcode: io_uring_op {
    switch self {
    case .openAt: IORING_OP_OPENAT2
    case .read: IORING_OP_READ
    case .write: IORING_OP_WRITE
    case .sync: IORING_OP_FSYNC
    case .rename: IORING_OP_RENAMEAT
    case .status: IORING_OP_STATX
    case .close: IORING_OP_CLOSE
    case .makeDirectory: IORING_OP_MKDIRAT
    case .unlink: IORING_OP_UNLINKAT
    case .setAttribute: IORING_OP_FSETXATTR
    }
  }
}

extension FileRequest {
  /// Fills one submission entry. Every pointer in it is this request's own or kept by it.
  func prepare(_ index: Int, _ entry: UnsafeMutablePointer<io_uring_sqe>) {
    let step = steps[index]
    switch step.kind {
    case .openAt: io_uring_prep_openat2(entry, step.fd, step.path, openHow(index))
    case .read: io_uring_prep_read(entry, step.fd, step.data, step.length, step.offset)
    case .write: io_uring_prep_write(entry, step.fd, step.data, step.length, step.offset)
    case .sync: io_uring_prep_fsync(entry, step.fd, 0)
    case .rename: io_uring_prep_renameat(entry, step.fd, step.path, step.otherFD, step.otherPath, step.flags)
    case .status:
      io_uring_prep_statx(entry, step.fd, step.path, Int32(step.flags), UInt32(STATX_BASIC_STATS), statusBuffer(index))
    case .close: io_uring_prep_close(entry, step.fd)
    case .makeDirectory: io_uring_prep_mkdirat(entry, step.fd, step.path, mode_t(step.length))
    case .unlink: io_uring_prep_unlinkat(entry, step.fd, step.path, Int32(step.flags))
    case .setAttribute: io_uring_prep_fsetxattr(entry, step.fd, step.path, step.data?.assumingMemoryBound(to: CChar.self), 0, step.length)
    }
  }

  /// Chooses the steps to give to the kernel at once. Its soft links only notice failures of opens, reads, writes and closes
  /// (since 5.19 fsync, renameat, unlinkat and the like answer an error and let the chain go on): after any other step the
  /// loop itself decides whether the chain goes on.
  /// - Returns: how many.
  func chooseSection(without plainKinds: Set<Kind>) -> Int {
    var end = stepsDone + 1
    while end < count, !plainKinds.contains(steps[end].kind),
      steps[end - 1].link == .always || steps[end - 1].kind.failureStopsChain
    {
      end += 1
    }
    section = stepsDone..<end
    return section.count
  }

  /// - Returns: true if nothing is left to do.
  func cancelRestAfterFailure() -> Bool {
    if stepsDone < count {
      let last = stepsDone - 1
      // A cancelled step cancels its follower whatever the link between them.
      let isCancelled = value(last) == -ECANCELED || (steps[last].link == .onSuccess && !didSucceed(last))
      guard isCancelled else { return false }
      for index in stepsDone..<count { answer(index, -ECANCELED) }
      stepsDone = count
    }
    return true
  }

  /// After step `index` was repaired: runs what its failure had cancelled.
  func runRestPlainly(after index: Int, before end: Int) {
    var isCancelled = steps[index].link == .onSuccess && !didSucceed(index)
    for next in (index + 1)..<max(end, index + 1) where value(next) == -ECANCELED && !isCancelled {
      answer(next, runStepPlainly(next))
      isCancelled = steps[next].link == .onSuccess && !didSucceed(next)
    }
  }
}
