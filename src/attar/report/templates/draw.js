// Draws each chart into its place. Expressions are interpreted ("ast"), so that the page needs no right to evaluate code.
(async () => {
  const charts = JSON.parse(document.getElementById("charts").textContent);
  const options = { actions: false, renderer: "svg", ast: true, defaultStyle: false, tooltip: { theme: "report" } };
  const drawn = [...document.querySelectorAll("[data-chart]")].map((place) =>
    window.vegaEmbed(place, charts[Number(place.dataset.chart)], options).catch((reason) => {
      place.textContent = "This chart could not be drawn; its numbers are in the tables.";
      throw reason;
    }),
  );
  await Promise.all(drawn);
  document.documentElement.dataset.drawn = String(drawn.length);
})();
