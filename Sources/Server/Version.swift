/// What `downbeat --version` prints and log lines carry.
enum Version {
  static let text = "0.1.0"
}
