// `GET /`: the page for a browser, three files put into the executable at build time, so that nothing must be installed beside it.
internal import HTTP

enum Dashboard {
  static let pages = [
    StaticPage(path: "/", contentType: Response.html, body: PackageResources.index_html),
    StaticPage(path: "/dashboard.css", contentType: "text/css; charset=utf-8", body: PackageResources.dashboard_css),
    StaticPage(path: "/dashboard.js", contentType: "text/javascript; charset=utf-8", body: PackageResources.dashboard_js),
  ]
}
