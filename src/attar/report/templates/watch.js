// Whatever goes wrong on this page is written on its root element, where a test can read it.
(() => {
  const note = (what) => {
    document.documentElement.dataset.error ??= String(what);
  };
  window.onerror = (message) => note(message);
  window.addEventListener("unhandledrejection", (event) => note(event.reason));
  document.addEventListener("securitypolicyviolation", (event) => note(`${event.violatedDirective} ${event.blockedURI}`));
  // On paper nothing can be unfolded.
  window.addEventListener("beforeprint", () => {
    for (const details of document.querySelectorAll("details.rest")) details.open = true;
  });
})();
