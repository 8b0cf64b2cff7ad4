// Makes the parents of a znode. Parents are persistent and empty; whoever comes first makes them.

extension ZooKeeperClient {
  /// Makes everything above `path` that is missing.
  /// - Parameter path: with the chroot in front.
  /// - Answers OK; or the refusal of the first that cannot be made. ZNONODE: the chroot is missing and is not ours to make.
  func makeParents(of path: String, _ completion: @escaping (ZooKeeperAnswer) -> Void) {
    let ours = StatePaths.ancestors(of: path).filter { settings.createsChroot || $0.utf8.count > settings.chroot.utf8.count }
    make(ours[...], completion)
  }

  private func make(_ paths: ArraySlice<String>, _ completion: @escaping (ZooKeeperAnswer) -> Void) {
    guard let first = paths.first else { return completion(ZooKeeperAnswer(code: ZooKeeperCode.ok)) }
    create(first, [], isEphemeral: false) { [weak self] answer in
      guard answer.isOK || answer.code == ZooKeeperCode.nodeExists else { return completion(answer) }
      self?.make(paths.dropFirst(), completion)
    }
  }

  /// Creates a node, its parents first if they are missing.
  func createDeep(_ path: String, _ value: [UInt8], isEphemeral: Bool, _ completion: @escaping (ZooKeeperAnswer) -> Void) {
    create(path, value, isEphemeral: isEphemeral) { [weak self] answer in
      guard answer.code == ZooKeeperCode.noNode, let self else { return completion(answer) }
      makeParents(of: path) { [weak self] parents in
        guard parents.isOK, let self else { return completion(parents) }
        create(path, value, isEphemeral: isEphemeral, completion)
      }
    }
  }
}
