// The process, as every exporter shows its own.
extension NodeMetrics {
  func process(_ page: inout MetricsPage) {
    let figures = ProcessFigures()
    let readings: [(name: String, MetricsPage.Kind, help: String, value: Double)] = [
      ("process_cpu_user_seconds_total", .counter, "CPU time in user mode.", figures.userSeconds),
      ("process_cpu_system_seconds_total", .counter, "CPU time in the kernel.", figures.systemSeconds),
      ("process_cpu_seconds_total", .counter, "CPU time.", figures.userSeconds + figures.systemSeconds),
      ("process_start_time_seconds", .gauge, "When the process was started, Unix seconds.", ProcessFigures.startSeconds),
    ]
    for (name, kind, help, value) in readings {
      page.family(name, kind, help)
      page.reading(value, [])
    }
    let gauges: [(name: String, help: String, value: UInt64)] = [
      ("process_resident_memory_bytes", "Resident memory.", figures.residentBytes),
      ("process_virtual_memory_bytes", "Virtual memory.", figures.virtualBytes),
      ("process_open_fds", "Open file descriptors.", figures.openFDs),
      ("process_max_fds", "How many there may be.", figures.maxFDs),
    ]
    for (name, help, value) in gauges {
      page.family(name, .gauge, help)
      page.sample(value, [])
    }
  }
}
