// Whatever goes wrong on this page is written on its root element, where a test can read it.
(() => {
  const note = (what) => {
    document.documentElement.dataset.error ??= String(what);
  };
  window.onerror = (message) => note(message);
  window.addEventListener("unhandledrejection", (event) => note(event.reason));
  document.addEventListener("securitypolicyviolation", (event) => note(`${event.violatedDirective} ${event.blockedURI}`));
  // On paper nothing can be unfolded: what is folded is shown there, and folded again on the screen.
  const folded = [];
  window.addEventListener("beforeprint", () => {
    for (const details of document.querySelectorAll("details:not([open])")) {
      details.open = true;
      folded.push(details);
    }
  });
  window.addEventListener("afterprint", () => {
    for (const details of folded.splice(0)) details.open = false;
  });
})();
