// Backbeat's locationConfig.json, read for the names of the lifecycle service's locations only.
//
// It lies beside the configuration. An absent file is no problem; a broken one is an error, as the lifecycle routes would
// otherwise silently lose their locations.

internal import CLinux
internal import Glibc
internal import Yams

enum LocationConfigFile {
  static let name = "locationConfig.json"
  static let bytesMax = 4 << 20

  /// The file's keys in its own order; empty when there is no file.
  static func names(beside context: LoadContext) -> [String] {
    let path = context.resolve(name)
    guard access(path, F_OK) == 0 else { return [] }
    guard let root = YAMLDocument.read(path, bytesMax: bytesMax, diagnostics: context.diagnostics) else { return [] }
    let fields = LoadContext(
      file: path, directory: context.directory, environment: context.environment, diagnostics: context.diagnostics)
    let section = Section(root: root, context: fields)
    return section.names.filter { name in
      if let problem = NodeName.locationProblem(name) { section.error(name, problem) }
      return true
    }
  }
}
