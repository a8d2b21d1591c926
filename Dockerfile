# docker build --tag clinspan .
# docker run --rm -v "$PWD/runs:/work/runs" -v clinspan-cache:/cache clinspan run limit=20
#
# Weights of language models are not in the image: the default model's are fetched at the first use, checked, and kept in the volume /cache.

FROM python:3.11-slim AS build
# For an index with CPU builds of torch, which make the image several GB smaller: --build-arg PIP_INDEX_URL=...
ARG PIP_INDEX_URL
ARG EXTRAS=hpo,otel,rag
WORKDIR /source
COPY constraints.txt ./
RUN python -m venv /opt/clinspan
RUN /opt/clinspan/bin/pip install --no-cache-dir --constraint constraints.txt torch
COPY . ./
RUN /opt/clinspan/bin/pip install --no-cache-dir --constraint constraints.txt ".[${EXTRAS}]"

FROM python:3.11-slim
COPY --from=build /opt/clinspan /opt/clinspan
RUN useradd --create-home --uid 1000 clinspan && install --directory --owner=clinspan --mode=0700 /work /work/runs /cache
ENV PATH=/opt/clinspan/bin:$PATH \
    CLINSPAN_CACHE=/cache \
    HF_HOME=/cache/huggingface \
    PYTHONDONTWRITEBYTECODE=1
USER clinspan
WORKDIR /work
VOLUME ["/work/runs", "/cache"]
ENTRYPOINT ["clinspan"]
CMD ["--help"]
