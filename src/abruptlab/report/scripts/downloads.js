// Everything that is shown, as files: the figures' data, and each part of the story.

function save(name, content, type) {
  const link = html("a", { download: name, href: URL.createObjectURL(new Blob([content], { type })) });
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 60_000);
}

{
  const files = JSON.parse(byId("files").textContent);
  for (const link of document.querySelectorAll("a[data-file]")) {
    link.href = "#";
    link.addEventListener("click", (event) => {
      event.preventDefault();
      save(link.download, bytesOf(files[link.dataset.file]), "application/octet-stream");
    });
  }
  for (const button of document.querySelectorAll("button[data-part]")) {
    const part = button.dataset.part;
    button.addEventListener("click", async () => {
      const content = { steps: story.steps, [part]: { ...story[part] } };
      if (story[part].maps) {
        const { shape, levels, valueOf } = await unpackMaps(story[part].maps);
        content[part].maps = { shape, values: Array.from(levels, (level) => Number(valueOf(level).toPrecision(3))) };
      }
      save(`${part}.json`, JSON.stringify(content), "application/json");
    });
  }
}
